"""HotpotQA's bridge questions as tasks of several agents, each with some of the paragraphs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from latentcrdt.agents.method import Task
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.hotpotqa.examples import Example, read_examples
from latentcrdt.evals.hotpotqa.metric import exact_match, f1_score
from latentcrdt.evals.hotpotqa.prompt import Prompt
from latentcrdt.evals.item import Item, Scores

MAX_NEW_TOKENS = 24
"""The longest answers of the development set are a few names or a date."""


class HotpotQA:
    """A `latentcrdt.evals.item.Benchmark` over a file in HotpotQA's own format.

    The supporting paragraphs of a question, in the order of the file, are dealt to the agents in
    turns, then the distracting ones, as many of them as wanted. A bridge question needs two
    paragraphs; of two agents each gets one.
    """

    metrics = ("em", "f1")

    def __init__(
        self,
        path: Path,
        prompt: Prompt,
        *,
        max_questions: int | None = None,
        distractors: int = 0,
    ) -> None:
        self._digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self._name = path.name
        self._prompt = prompt
        self._distractors = distractors
        bridge = [e for e in read_examples(path) if e.kind == "bridge"]
        self._examples = bridge[:max_questions]

    def settings(self) -> Mapping[str, object]:
        """Return what the items depend on; the file by its digest, wherever it lies."""
        return {
            "benchmark": "hotpotqa",
            "file": self._name,
            "file_sha256": self._digest,
            "kind": "bridge",
            "questions": len(self._examples),
            "distractors": self._distractors,
            "prompt": self._prompt.name,
            "max_new_tokens": MAX_NEW_TOKENS,
        }

    def items(self, num_agents: int) -> Sequence[Item]:
        """Return the questions. Raises InvalidRequestError when an agent would have nothing."""
        return [self._item(example, num_agents) for example in self._examples]

    def _item(self, example: Example, num_agents: int) -> Item:
        supporting = [p for p in example.paragraphs if p.is_supporting]
        distracting = [p for p in example.paragraphs if not p.is_supporting]
        dealt = [*supporting, *distracting[: self._distractors]]
        if len(dealt) < num_agents:
            raise InvalidRequestError(
                f"question {example.example_id}: expected a paragraph for each of {num_agents} "
                f"agents, got {len(dealt)}: ask for distractors"
            )
        task = Task(
            contexts=tuple(
                "".join(map(self._prompt.paragraph, dealt[i::num_agents]))
                for i in range(num_agents)
            ),
            question=self._prompt.question(example.question),
            preamble=self._prompt.preamble,
            max_new_tokens=MAX_NEW_TOKENS,
        )

        def judge(text: str) -> Scores:
            answer = self._prompt.read_answer(text)
            return {
                "em": float(exact_match(answer, example.answer)),
                "f1": f1_score(answer, example.answer),
            }

        return Item(example.example_id, example.kind, task, example.answer, judge)
