"""Memory for what is received: not cleared before it is filled, and in as few pages as there are.

A fresh bytearray is written twice, once with zeros, and a page fault for every 4 KiB costs more
than the copy out of the socket.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

MAPPED_FROM_BYTES = 4 * 2**20
"""A few huge pages; below, a mapping costs more than it spares."""


def result_memory(num_bytes: int) -> memoryview:
    """Return writable memory of this size, all zeros; it is given back when its last view goes."""
    if num_bytes < MAPPED_FROM_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(bytearray(num_bytes))
    memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
