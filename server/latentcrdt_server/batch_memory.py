"""Memory for one batch of a body, lent out again and again.

Fresh memory comes page by page, each by a fault: a push of a megabyte spends more on that than on
hashing it.
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque

import numpy as np

BATCH_BYTES = 2 * 2**20
"""What a worker thread hashes and writes at a time, so that its hop costs little beside it."""

_resting: deque[mmap.mmap] = deque(maxlen=8)
"""Lent to nobody, and kept for who comes next: enough for four pushes at once, 16 MiB in all."""


def batch_memory() -> memoryview:
    """Return ``BATCH_BYTES`` of writable memory; it is lent again once its last view is gone."""
    try:
        memory = _resting.pop()
    except IndexError:
        # Costs nothing until it is filled, and goes back to the system, not to malloc.
        memory = mmap.mmap(-1, BATCH_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Of each loan's own: views of it, and of its slices, keep it alive.
    loan = np.frombuffer(memory, np.uint8)
    weakref.finalize(loan, _resting.append, memory).atexit = False
    return loan.data
