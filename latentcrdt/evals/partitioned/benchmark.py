"""Partitioned reasoning as a benchmark: the held-out questions, families taking turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, zip_longest

from latentcrdt.agents.method import Task
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.item import Item, Scores
from latentcrdt.evals.models import EARLY_REFERENCE, REFERENCE, LoadedModel
from latentcrdt.evals.partitioned.generator import questions
from latentcrdt.evals.partitioned.prompt import COMPLETION, PLAIN, Prompt, chat_prompt, read_answer
from latentcrdt.evals.partitioned.question import Question

MAX_NEW_TOKENS = 8
"""Answers are one word; an instruct model may lead up to it with a few."""


def prompt_for(loaded: LoadedModel) -> Prompt:
    """Return the layout for a model: that of the reference model, or its own chat template."""
    if loaded.name in (REFERENCE, EARLY_REFERENCE):
        return PLAIN
    return chat_prompt(loaded.tokenizer) if loaded.tokenizer.chat_template else COMPLETION


class Partitioned:
    """A `latentcrdt.evals.item.Benchmark` over the held-out split of the generator."""

    metrics = ("correct",)

    def __init__(
        self, families: Sequence[str], num_questions: int, prompt: Prompt, *, seed: int = 0
    ) -> None:
        if not families:
            raise InvalidRequestError("families: expected at least one, got none")
        self._families = tuple(families)
        self._num_questions = num_questions
        self._prompt = prompt
        self._seed = seed

    def settings(self) -> Mapping[str, object]:
        """Return what the items depend on."""
        return {
            "benchmark": "partitioned",
            "split": "held-out",
            "families": list(self._families),
            "questions": self._num_questions,
            "seed": self._seed,
            "prompt": self._prompt.name,
            "max_new_tokens": MAX_NEW_TOKENS,
        }

    def items(self, num_agents: int) -> Sequence[Item]:
        """Return the questions. Fewer are a prefix of more."""
        count = -(-self._num_questions // len(self._families))
        by_family = [
            questions(f, num_shards=num_agents, count=count, split="held-out", seed=self._seed)
            for f in self._families
        ]
        turns = (q for turn in zip_longest(*by_family) for q in turn if q is not None)
        return [self._item(question) for question in islice(turns, self._num_questions)]

    def _item(self, question: Question) -> Item:
        task = Task(
            contexts=tuple(map(self._prompt.shard_text, question.shards)),
            question=self._prompt.question_text(question),
            preamble=self._prompt.prefix,
            max_new_tokens=MAX_NEW_TOKENS,
            choices=question.choices,
        )

        def judge(text: str) -> Scores:
            return {"correct": float(read_answer(text, question.choices) == question.answer)}

        return Item(question.question_id, question.family, task, question.answer, judge)
