"""No shard alone answers: what a reader does who lacks one shard.

A missing shard is put back in every way that is as likely as the true one: its words exchanged for
each other by every permutation, a symmetry of the generator. The oracle answers each. If the shard
was needed, the answers are spread evenly over as many words as 1 / chance of the family, so that no
reader without the shard can do better than that. If not, no exchange gives another answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import permutations

import pytest

from latentcrdt.evals.partitioned import FAMILIES, Question, questions
from tests.evals.partitioned.solver import solve

VALUES = {
    "lookup": r"lives in (\w+)\.",
    "two-hop": r"(?:has|opens) the (\w+)",
    "comparison": r"shows (\w+)\.",
}


def exchangeable(question: Question, shard: str) -> Sequence[str]:
    """Return the words of a shard that may be exchanged for each other."""
    if question.family == "counting":
        return ("cat", "dog", "horse")
    if question.family == "constraint":
        return question.choices
    return re.findall(VALUES[question.family], shard)


def exchanged(shard: str, words: Sequence[str]) -> Iterator[str]:
    for permutation in permutations(words):
        table = dict(zip(words, permutation, strict=True))
        yield re.sub(r"\w+", lambda match, table=table: table.get(match[0], match[0]), shard)


def answers_without(question: Question, i: int) -> Counter[str]:
    """Return how often each answer comes up over all that the i-th shard might have been."""
    before, shard, after = question.shards[:i], question.shards[i], question.shards[i + 1 :]
    found = Counter(
        solve((*before, variant, *after), question.question)
        for variant in exchanged(shard, exchangeable(question, shard))
    )
    del found[None]  # contradicts the other shards or the question: cannot have been
    return found


@pytest.mark.parametrize("k", [2, 3, 4, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_needed_shard_the_answer_is_a_matter_of_chance(family, k):
    for question in questions(family, num_shards=k, count=10, split="held-out", seed=3):
        spread = [answers_without(question, i) for i in range(k)]
        needed = [answers for answers in spread if len(answers) > 1]
        assert len(needed) == (k if family in {"counting", "constraint"} else 2)
        for answers in spread:
            assert question.answer in answers
            assert set(answers) <= set(question.choices)
        for answers in needed:
            assert len(answers) == 1 / FAMILIES[family].chance
            assert len(set(answers.values())) == 1
