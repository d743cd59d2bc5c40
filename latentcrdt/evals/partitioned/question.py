"""What a family makes, and what a benchmark asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One question over the texts of several agents."""

    question_id: str
    """Names the content: family, number of shards, and a digest of the texts and the question."""
    family: str
    shards: tuple[str, ...]
    """One text per agent. Their order never changes the answer."""
    question: str
    answer: str
    """One word, one of ``choices``."""
    choices: tuple[str, ...]
    """Every admissible word, in no telling order."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that a context answers."""

    question: str
    answer: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """The texts of several agents, and everything of one family that can be asked about them."""

    shards: tuple[str, ...]
    asks: tuple[Ask, ...]
