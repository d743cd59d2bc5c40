"""Item: one question of a benchmark, ready to be answered by any method and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from latentcrdt.agents.method import Task

Scores: TypeAlias = Mapping[str, float]
"""Each metric of a benchmark with its value for one answer, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question, how it is put to the agents, and how an answer is judged."""

    item_id: str
    """Names the content, so that two runs can be compared question by question."""
    family: str
    task: Task
    expected: str
    """The right answer, for people to read."""
    judge: Callable[[str], Scores]
    """From what a model wrote to the metrics of the benchmark."""


class Benchmark(Protocol):
    """Where items come from."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the scores, the one that counts first; that one is 0 or 1."""
        ...

    def settings(self) -> Mapping[str, object]:
        """Return, as a JSON-able document, everything that the items depend on."""
        ...

    def items(self, num_agents: int) -> Sequence[Item]:
        """Return the questions for so many agents, families taking turns."""
        ...
