"""Recorder: writes the history while it happens, so that a run that breaks off leaves one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.operation import NEMESIS, Operation, Type


class Recorder:
    """One clock and one order for all processes of a run; to be used from one event loop."""

    def __init__(self, file: TextIO, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Write lines to ``file``; times count from now."""
        self._file = file
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()
        self._operations: list[Operation] = []

    @property
    def operations(self) -> list[Operation]:
        """What was recorded so far."""
        return self._operations

    def begin(
        self, process: int, function: str, server: int, element: int | None = None
    ) -> Operation:
        """Record that a client asks; return the invocation, to be ended."""
        return self._write(Operation(*self._moment(), process, "invoke", function, element, server))

    def end(
        self, invocation: Operation, type_: Type, read: Elements | None = None, error: str = ""
    ) -> Operation:
        """Record what became of an invocation; ``read``: what a read saw."""
        of, value = invocation, invocation.value if read is None else read
        moment = self._moment()
        return self._write(
            Operation(*moment, of.process, type_, of.function, value, of.server, error or None)
        )

    def note(self, function: str, value: str) -> Operation:
        """Record what the nemesis does."""
        return self._write(Operation(*self._moment(), NEMESIS, "info", function, value))

    def history(self) -> History:
        """Return what was recorded so far, checked."""
        return History(self._operations)

    def _moment(self) -> tuple[int, int]:
        """Return the index and time of what is recorded next."""
        # Two events within one tick of the clock still happened one after the other.
        earliest = self._operations[-1].time_ns + 1 if self._operations else 0
        return len(self._operations), max(earliest, self._clock_ns() - self._start_ns)

    def _write(self, operation: Operation) -> Operation:
        self._operations.append(operation)
        self._file.write(operation.to_line() + "\n")
        return operation
