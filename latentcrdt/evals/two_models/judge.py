"""Judges: which of two answers is better. A judge is any callable; both orders are asked.

A model as judge has a taste for the first or the second place. Asked both ways, a judge that goes
by the place alone contradicts itself, and its verdict is a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.two_models.cases import Case
from latentcrdt.hf.continuation import Continuation


class Preference(Enum):
    """Which of two answers a judge prefers; the values are points of the first."""

    FIRST = 1.0
    NEITHER = 0.5
    SECOND = 0.0


Judge: TypeAlias = Callable[[Case, str, str], Preference]


def contest(judge: Judge, case: Case, one: str, other: str) -> float:
    """Return the points of ``one`` against ``other``, from 0 to 1; 0.5 is a tie.

    The judge is asked in both orders, and not at all where the texts are equal.
    """
    if one == other:
        return Preference.NEITHER.value
    return (judge(case, one, other).value + 1 - judge(case, other, one).value) / 2


def by_answer(case: Case, first: str, second: str) -> Preference:
    """Prefer the right answer; neither where both are right or both wrong."""
    points = 0.5 + (case.is_right(first) - case.is_right(second)) / 2
    return Preference(points)


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """A language model that is shown the question and both answers, and says A or B."""

    loaded: LoadedModel

    def __call__(self, case: Case, first: str, second: str) -> Preference:
        """Prefer the answer whose letter is the likelier next token."""
        asked = (
            f"Question: {case.question}\nAnswer A: {first}\nAnswer B: {second}\n"
            "Which answer is better, A or B?"
        )
        tokenizer = self.loaded.tokenizer
        text = f"{asked}\nThe better answer is answer"
        if tokenizer.chat_template:
            message = {"role": "user", "content": asked}
            opening = tokenizer.apply_chat_template(
                [message], tokenize=False, add_generation_prompt=True
            )
            text = f"{opening}The better answer is answer"
        ids: list[int] = list(tokenizer(text)["input_ids"])
        letters = [list(tokenizer(f" {x}", add_special_tokens=False)["input_ids"]) for x in "AB"]
        while letters[0][0] == letters[1][0]:  # a space of its own comes before either letter
            ids.append(letters[0].pop(0))
            letters[1].pop(0)
        logits = Continuation.from_nothing(self.loaded.model).feed(ids)[0]
        a, b = (float(logits[letter[0]]) for letter in letters)
        return Preference((1 + (a > b) - (a < b)) / 2)


def known_points(judge: Judge, cases: Sequence[Case]) -> dict[str, float]:
    """Return a judge's points for right answers, each beside another case's, which is wrong.

    They say what the judge's verdicts on other texts are worth.
    """
    points = {}
    for case in cases:
        others = (other.answer for other in cases if other.category == case.category)
        wrong = next((answer for answer in others if not case.is_right(answer)), None)
        if wrong is not None:
            points[case.case_id] = contest(judge, case, case.answer.strip(), wrong.strip())
    return points
