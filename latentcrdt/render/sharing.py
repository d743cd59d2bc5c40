"""Whether torch's threads pay at the moment: tried, timed, and left alone for a while if not.

On idle cores, chunks that torch shares out among its threads take a third of the time. On cores
that have anything else to do its threads wait for each other at every operation, and the same
chunks take thirty times as long. No figure of the system tells which it will be, so a chunk is
tried; one that was slower than a thread alone is followed by twenty times its time of working
alone. On a busy machine trials cost about a tenth of a render that way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

GRAIN = 1 << 15
"""Elements of one operation from which torch shares it out (at::internal::GRAIN_SIZE)."""

SHARED_ELEMENTS = 1 << 18
"""Elements of a chunk that is shared out; with its scratch still in cache."""

ALONE_FACTOR = 20
"""How many times as long as a bad trial took no other is made."""


class Sharing:
    """Chooses the size of the next chunk, from how long the ones before took.

    Threads may share one: what they race for is only advice.
    """

    def __init__(self) -> None:
        self._alone_until = 0.0
        self._alone_seconds: float | None = None
        """Per element, of the last chunk that one thread turned."""

    def elements(self) -> int:
        """Return how many elements to turn next."""
        if torch.get_num_threads() == 1:
            return SHARED_ELEMENTS // 2
        if self._alone_seconds is None or time.monotonic() < self._alone_until:
            return GRAIN - 1
        return SHARED_ELEMENTS

    @contextmanager
    def timed(self, elements: int) -> Iterator[None]:
        """Time the turning of so many elements."""
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        if GRAIN // 2 <= elements < GRAIN:  # of a smaller one, little is the turning itself
            self._alone_seconds = took / elements
        elif elements >= GRAIN and self._alone_seconds and took > elements * self._alone_seconds:
            self._alone_until = time.monotonic() + ALONE_FACTOR * took
