"""An exchange under way on one machine, taken a step at a time so that many interleave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from latentcrdt.core.sync.exchange import Copied, Copy, Exchange, Round
from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.anti_entropy import copy_one
from latentcrdt.testing.simulation.machine import Machine


class RunningExchange:
    """One exchange; a step is one question, or one member copied."""

    def __init__(self, machine: Machine, steps: Exchange[Round], key: tuple[str, str]) -> None:
        """``key``: the names of the two machines, for the bookmark."""
        self.machine = machine
        self.key = key
        self._uptime = machine.replica
        self._steps = steps
        self._result: Any = None
        self._error: LatentCRDTError | None = None
        self._copying: tuple[Copy, Iterator[Any], Copied] | None = None

    @property
    def is_orphaned(self) -> bool:
        """Whether the process that it ran in is no more."""
        return not self.machine.is_up or self.machine.replica is not self._uptime

    def advance(self) -> None:
        """Take one step; raises StopIteration with the round at the end, or what ended it."""
        if self._copying is not None:
            copy, items, copied = self._copying
            item = next(items, None)
            if item is not None:
                copied.add(copy_one(copy, item))
                return
            self._copying, self._result = None, copied
        if self._error is not None:
            error, self._error = self._error, None
            step = self._steps.throw(error)
        else:
            step = self._steps.send(self._result)
        self._result = None
        if isinstance(step, Copy):
            self._copying = (step, iter(step.items), Copied())
            return
        try:
            self._result = step.question(step.peer)
        except LatentCRDTError as error:
            self._error = error
