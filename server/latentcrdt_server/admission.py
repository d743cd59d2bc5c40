"""Admission of pushes: how many bytes may be on their way in at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from latentcrdt.errors import BusyError


class Admission:
    """Counts the bytes of pushes under way. Used on the event loop only, so it needs no lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.num_bytes = 0
        """Bytes admitted and not yet done with."""

    @contextmanager
    def admit(self, num_bytes: int) -> Iterator[None]:
        """Hold ``num_bytes`` for the duration of the block, or raise BusyError before it.

        A push that is alone is always admitted, whatever its size.
        """
        if self.num_bytes and self.num_bytes + num_bytes > self._limit:
            raise BusyError(
                f"{self.num_bytes} bytes are on their way in and {self._limit} are allowed; "
                f"{num_bytes} more have to wait",
                limit=self._limit,
            )
        self.num_bytes += num_bytes
        try:
            yield
        finally:
            self.num_bytes -= num_bytes
