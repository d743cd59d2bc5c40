"""Cases: prompts with right answers, in categories, for a pair of models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.partitioned import FAMILIES, questions
from latentcrdt.evals.partitioned.benchmark import prompt_for

TASKS = ("partitioned", "general")
"""Questions of `latentcrdt.evals.partitioned`, and the four categories of the source."""

Count: TypeAlias = int | None
"""Cases of each category, the first so many; None: all there are (twenty, where they are made)."""

MADE = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt, and what a right answer to it holds."""

    case_id: str
    category: str
    question: str
    """What is asked, for a judge to read."""
    prompt: str
    """What the models read."""
    answer: str
    """A right answer, as it would follow the prompt."""
    is_right: Callable[[str], bool]


def cases(
    tasks: Sequence[str], loaded: LoadedModel, count: Count, *, num_shards: int
) -> list[Case]:
    """Return the cases of some tasks; the facts of a partitioned question lie in so many texts.

    Raises InvalidRequestError for a task that is none.
    """
    made = []
    for task in tasks:
        if task not in TASKS:
            raise InvalidRequestError(f"tasks: expected some of {list(TASKS)}, got {task!r:.80}")
        if task == "partitioned":
            made += _partitioned(loaded, count, num_shards)
        else:
            made += _general(loaded, count)
    return made


def _partitioned(loaded: LoadedModel, count: Count, num_shards: int) -> list[Case]:
    prompt = prompt_for(loaded)
    return [
        Case(
            question.question_id,
            family,
            " ".join((*question.shards, question.question)),
            prompt.text(question),
            prompt.answer_text(question.answer),
            _contains([question.answer], question.choices),
        )
        for family in FAMILIES
        for question in questions(
            family, num_shards=num_shards, count=count or MADE, split="held-out"
        )
    ]


def _general(loaded: LoadedModel, count: Count) -> list[Case]:
    document = json.loads((files(__package__) / "questions.json").read_text(encoding="utf-8"))
    return [
        Case(
            f"{category}-{i}",
            category,
            question,
            *_layout(loaded, question, accepted[0]),
            _contains(accepted, accepted),
        )
        for category, asked in document.items()
        for i, (question, accepted) in enumerate(asked[:count])
    ]


def _layout(loaded: LoadedModel, question: str, answer: str) -> tuple[str, str]:
    """Return a question as the model is used to be asked, and the answer that follows."""
    if not loaded.tokenizer.chat_template:
        return f"Question: {question}\nAnswer:", f" {answer}"
    message = {"role": "user", "content": f"{question} Answer with one word."}
    text = loaded.tokenizer.apply_chat_template(
        [message], tokenize=False, add_generation_prompt=True
    )
    return str(text), answer


def _contains(accepted: Sequence[str], choices: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a text's first admissible word, in any case, is an accepted one."""
    spelled = sorted(map(re.escape, map(str.lower, choices)), key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)({'|'.join(spelled)})(?!\w)")
    wanted = {word.lower() for word in accepted}

    def is_right(text: str) -> bool:
        found = pattern.search(text.lower())
        return found is not None and found[0] in wanted

    return is_right
