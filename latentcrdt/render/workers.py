"""Workers: threads of an engine's own that write one part of a section side by side.

The teams of OpenMP that torch and numba bring along meet at the end of every operation and spin
until the last of them is there: on a core that has anything else to do, that takes many times as
long as the work. These meet once for a whole part, asleep. All renders of a process share them, so
that several at once take no more cores than one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

SHARE_BYTES = 512 << 10
"""What a thread is woken for, at least: less is turned about as soon as it is awake."""

MOST_THREADS = 8
"""More would wait for the same memory, and each has scratch of its own."""


def _nothing() -> None:
    """Prepare a thread that needs nothing."""


class Workers:
    """Up to ``count`` threads, each of which calls ``prepare`` before anything else."""

    def __init__(self, count: int, prepare: Callable[[], None] = _nothing) -> None:
        self.count = min(count, MOST_THREADS)
        self.prepare = prepare
        self._pools: dict[int, ThreadPoolExecutor] = {}
        """By process id: a forked child has none of its parent's threads."""

    def share(self, rows: range, num_bytes: int, write: Callable[[range], None]) -> None:
        """Call ``write`` with the shares that make up the rows, and return when all are written.

        ``num_bytes`` is the size of all the rows. What a share raises is raised here.
        """
        num_shares = max(1, min(self.count, num_bytes // SHARE_BYTES, len(rows)))
        bounds = [len(rows) * i // num_shares for i in range(num_shares + 1)]
        pool = self._pool()
        shares = [pool.submit(write, rows[start:stop]) for start, stop in pairwise(bounds)]
        try:
            for share in shares:
                share.result()
        finally:
            wait(shares)  # the memory that they write to is lent to others next

    def _pool(self) -> ThreadPoolExecutor:
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            made = ThreadPoolExecutor(self.count, "latentcrdt-engine", self.prepare)
            pool = self._pools.setdefault(process, made)
            if pool is made:
                # All of them now, not when one is missed: others may notice what `prepare` does.
                met = threading.Barrier(self.count)
                wait([pool.submit(met.wait) for _ in range(self.count)])
        return pool
