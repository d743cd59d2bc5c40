"""Admission: how much may be under way at once, so that callers share what the server has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from latentcrdt.errors import BusyError


class Admission:
    """Counts what is under way. Used on the event loop only, so it needs no lock."""

    def __init__(self, limit: int, what: str) -> None:
        """``what`` names the things counted, for whoever is refused."""
        self._limit = limit
        self._what = what
        self.num_admitted = 0
        """How much is admitted and not yet done with."""

    @contextmanager
    def admit(self, amount: int) -> Iterator[None]:
        """Hold ``amount`` for the duration of the block, or raise BusyError before it.

        Whoever is alone is always admitted, whatever the amount.
        """
        if self.num_admitted and self.num_admitted + amount > self._limit:
            raise BusyError(
                f"{self._what}: {self.num_admitted} under way of {self._limit} allowed; "
                f"{amount} more have to wait",
                limit=self._limit,
            )
        self.num_admitted += amount
        try:
            yield
        finally:
            self.num_admitted -= amount
