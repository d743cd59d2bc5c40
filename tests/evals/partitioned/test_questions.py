"""The generator against an oracle that reads the texts."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import islice, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.partitioned import FAMILIES, NUM_SHARDS, contexts, questions, split_of
from tests.evals.partitioned.solver import solve

families = st.sampled_from(sorted(FAMILIES))
shard_counts = st.sampled_from(NUM_SHARDS)
seeds = st.integers(0, 2**32)
splits = st.sampled_from(["train", "held-out"])


@given(families, shard_counts, splits, seeds)
def test_every_question_of_a_context_has_the_answer_that_the_texts_give(family, k, split, seed):
    context = next(contexts(family, num_shards=k, split=split, seed=seed))
    assert len(context.shards) == k
    assert context.asks
    for ask in context.asks:
        assert solve(context.shards, ask.question) == ask.answer
        assert ask.answer in ask.choices
        assert len(set(ask.choices)) == len(ask.choices)


@given(families, st.sampled_from([2, 3]), seeds)
def test_the_order_of_shards_does_not_matter(family, k, seed):
    (question,) = questions(family, num_shards=k, count=1, split="held-out", seed=seed)
    for order in permutations(question.shards):
        assert solve(order, question.question) == question.answer
        assert split_of(order) == "held-out"


@given(families, shard_counts, seeds)
def test_shards_of_a_context_look_alike_in_size(family, k, seed):
    context = next(contexts(family, num_shards=k, split="train", seed=seed))
    assert {shard.count(".") for shard in context.shards} == {3}


def test_fewer_questions_are_a_prefix_of_more_and_all_differ():
    few = questions("lookup", num_shards=3, count=20, split="train")
    more = questions("lookup", num_shards=3, count=60, split="train")
    assert more[:20] == few
    assert len({q.question_id for q in more}) == 60
    assert len({frozenset(q.shards) for q in more}) == 60


def test_another_seed_gives_other_questions():
    ids = [
        {
            q.question_id
            for q in questions("counting", num_shards=2, count=50, split="train", seed=s)
        }
        for s in (0, 1)
    ]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_splits_share_no_context(family):
    train, held_out = (
        {
            frozenset(context.shards)
            for seed in range(5)
            for context in islice(contexts(family, num_shards=2, split=split, seed=seed), 200)
        }
        for split in ("train", "held-out")
    )
    assert train
    assert held_out
    assert not train & held_out


PROGRAM = """
from latentcrdt.evals.partitioned import FAMILIES, questions
for family in FAMILIES:
    for k in (2, 5):
        for question in questions(family, num_shards=k, count=5, split="train", seed=7):
            print(question)
"""


def test_another_process_makes_the_same_questions():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(re.findall(r"Question\(", outputs[0])) == 50


def test_neither_torch_nor_transformers_is_loaded():
    program = (
        "import sys, latentcrdt.evals.partitioned\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"family": "riddles"}, "family: expected one of"),
        ({"num_shards": 1}, "num_shards: expected 2 to 5, got 1"),
        ({"num_shards": 6}, "num_shards: expected 2 to 5, got 6"),
        ({"split": "test"}, "split: expected one of"),
        ({"count": -1}, "count: expected at least 0, got -1"),
    ],
)
def test_what_does_not_exist_is_refused(changed, says):
    asked = {"family": "lookup", "num_shards": 2, "count": 1, "split": "train"} | changed
    with pytest.raises(InvalidRequestError, match=re.escape(says)):
        questions(asked.pop("family"), **asked)
