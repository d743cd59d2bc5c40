"""Method: one way in which a final agent comes to know what several agents read.

CanonicalMerge, every baseline and every repair are methods, so that a benchmark runs all alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Purpose(StrEnum):
    """What an answer is for."""

    ANSWER = "answer"
    """It stands for itself."""
    JUDGE = "judge"
    """It picks among candidates. Reused caches can keep a judge's accuracy and still flip its
    picks (arXiv 2601.08343): a gate lets judges read everything themselves."""


@dataclass(frozen=True, slots=True)
class Task:
    """One question whose evidence is spread over several agents, as text that a model continues."""

    contexts: tuple[str, ...]
    """What each agent reads, one text an agent; their order means nothing."""
    question: str
    """What the final agent appends to what it was handed; the answer begins right behind it."""
    preamble: str = ""
    """What every agent reads first: the shared prefix, where the regime has one."""
    max_new_tokens: int = 16
    choices: tuple[str, ...] = ()
    """The admissible answers, where they are few; empty: any text. Decoding is free either way."""
    purpose: Purpose = Purpose.ANSWER


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer took, on the side of the final agent."""

    context_tokens: int
    """Tokens that the final agent attended to before its first new one."""
    prefilled_tokens: int
    """Of these, the tokens that it had to compute itself."""
    bytes_moved: int
    """Bytes of KV (or UTF-8 text) handed over by the agents."""
    first_token_s: float
    """Seconds from having received everything to the first token's logits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answered, and enough to say why."""

    text: str
    cost: Cost
    receipt: Mapping[str, object] | None = None
    """The render's receipt as a document, where one was made."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """JSON-able facts of this method: an order, the weights of copies, the signals of a gate."""


class Method(Protocol):
    """A way to answer tasks with one model; made with the model, tokenizer and regime it uses."""

    @property
    def name(self) -> str:
        """The name in tables and files, such as ``canonical`` or ``packllm-sim``."""
        ...

    def answer(self, task: Task) -> Answer:
        """Return the final agent's answer, greedily decoded."""
        ...
