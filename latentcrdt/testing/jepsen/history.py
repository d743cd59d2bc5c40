"""Histories: everything that was asked of a system and answered by it, checked and paired.

Rule: the order of the operations is the order of events, and their times ascend strictly. A client
process has at most one under way; after ``info``, which says that nobody knows whether it took
effect, the process is never heard of again. Checkers rely on all of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from latentcrdt.errors import MalformedError
from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.operation import NEMESIS, Operation


@dataclass(frozen=True, slots=True)
class Add:
    """A client's attempt to add an element."""

    element: int
    invocation: Operation
    completion: Operation | None
    """None: still under way when the history ends; as good as ``info``."""

    @property
    def acknowledgement(self) -> Operation | None:
        """The completion, if it says that the element was added."""
        return self.completion if self.completion and self.completion.type == "ok" else None


@dataclass(frozen=True, slots=True)
class Read:
    """A read that succeeded."""

    elements: Elements
    invocation: Operation
    completion: Operation


class History:
    """A checked sequence of operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Check and pair the operations; raises MalformedError."""
        self.operations = tuple(operations)
        self._completions = _pair(self.operations)
        added = [op.value for op in self.operations if (op.function, op.type) == ("add", "invoke")]
        if len(set(added)) != len(added):
            raise MalformedError("history: expected each element to be added once")

    @classmethod
    def load(cls, path: Path) -> History:
        """Return the history that a file of lines holds; raises MalformedError."""
        with path.open(encoding="utf-8") as lines:
            return cls(Operation.from_line(line) for line in lines)

    def adds(self) -> dict[int, Add]:
        """Return the adds by element."""
        adds = {}
        for invocation, completion in self._exchanges("add"):
            element = invocation.value
            if not isinstance(element, int):
                raise MalformedError(
                    f"history: expected an integer to be added at index {invocation.index}, "
                    f"got {element!r:.80}"
                )
            adds[element] = Add(element, invocation, completion)
        return adds

    def reads(self) -> list[Read]:
        """Return the reads that succeeded, in the order in which they began."""
        reads = []
        for invocation, completion in self._exchanges("read"):
            if completion is None or completion.type != "ok":
                continue
            if not isinstance(completion.value, Elements):
                raise MalformedError(
                    f"history: expected runs of elements to be read at index {completion.index}, "
                    f"got {completion.value!r:.80}"
                )
            reads.append(Read(completion.value, invocation, completion))
        return reads

    def faults(self) -> list[Operation]:
        """Return what the nemesis did."""
        return [op for op in self.operations if op.process == NEMESIS]

    def _exchanges(self, function: str) -> Iterator[tuple[Operation, Operation | None]]:
        for op in self.operations:
            if op.type == "invoke" and op.function == function:
                yield op, self._completions.get(op.index)


def _pair(operations: tuple[Operation, ...]) -> dict[int, Operation]:
    """Return the completions by the index of their invocation; raises MalformedError."""
    completions: dict[int, Operation] = {}
    under_way: dict[int, Operation] = {}
    crashed: set[int] = set()
    last_time = -1
    for index, op in enumerate(operations):
        if op.index != index or op.time_ns <= last_time:
            raise MalformedError(
                f"history: expected index {index} at a time after {last_time} ns, "
                f"got index {op.index} at {op.time_ns} ns"
            )
        last_time = op.time_ns
        if op.process == NEMESIS:
            continue
        begun = under_way.pop(op.process, None)
        if op.type == "invoke":
            if begun is not None or op.process in crashed:
                raise MalformedError(
                    f"history: process {op.process} begins at index {index}, but what it began "
                    f"before has no known end"
                )
            under_way[op.process] = op
            continue
        if begun is None or begun.function != op.function:
            raise MalformedError(
                f"history: the {op.function} that ends at index {index} was not begun by process "
                f"{op.process}"
            )
        completions[begun.index] = op
        if op.type == "info":
            crashed.add(op.process)
    return completions
