"""A benchmark and methods that need no model: what they answer follows from the question alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from latentcrdt.agents.method import Answer, Cost, Task
from latentcrdt.agents.regime import Regime
from latentcrdt.evals.item import Item
from latentcrdt.evals.runner import Cell

REGIMES = (Regime(), Regime(num_steps=2))
METHODS = ("canonical", "bag-01", "bag-10", "single")
CELLS = tuple(Cell(2, regime, METHODS) for regime in REGIMES)
SESSION = {"date": "2026-07-01 00:00 UTC"}


@dataclass
class FakeBenchmark:
    """Arithmetic: question i expects i mod 3."""

    count: int = 5
    metrics: tuple[str, ...] = ("correct",)

    def settings(self):
        return {"benchmark": "fake", "questions": self.count}

    def items(self, num_agents: int) -> Sequence[Item]:
        return [self._item(i, num_agents) for i in range(self.count)]

    def _item(self, i: int, num_agents: int) -> Item:
        task = Task(tuple(f"{i} of agent {n}" for n in range(num_agents)), str(i))
        expected = str(i % 3)
        return Item(
            f"q{i}",
            ("even", "odd")[i % 2],
            task,
            expected,
            lambda t: {"correct": float(t == expected)},
        )


@dataclass
class FakeMethod:
    """Answers what ``right`` says of a question: rightly or wrongly."""

    name: str
    right: Callable[[int], bool] = lambda _: True
    asked: list[int] = field(default_factory=list)
    note: str = ""

    def answer(self, task: Task) -> Answer:
        i = int(task.question)
        self.asked.append(i)
        text = str(i % 3) if self.right(i) else "wrong"
        receipt = None if self.name == "single" else {"order": self.name, "contexts": task.contexts}
        cost = Cost(10, 2, 100 * (i + 1), 0.25)
        return Answer(text, cost, receipt, {"note": self.note or self.name, "weight": 1 / (i + 1)})


def fake_methods(_cell: Cell) -> list[FakeMethod]:
    """Canonical is right on 0, 1, 3; one order on all but 4, the other on 0 and 4 only."""
    right = {
        "canonical": lambda i: i in (0, 1, 3),
        "bag-01": lambda i: i != 4,
        "bag-10": lambda i: i in (0, 4),
        "single": lambda _: True,
    }
    return [FakeMethod(name, right[name]) for name in METHODS]
