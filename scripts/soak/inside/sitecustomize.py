"""On the path of a server, this makes its caches small, and lets it say what memory is in use.

A cache that fills up looks like a leak until it is full. The caches of a server take hours to fill,
these seconds: what grows in spite of that has no bound. What they do is the same. SOAK_PLANT names
a leak to be planted.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from pathlib import Path

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.replication import replica
from latentcrdt.replication.replica import Replica

replica.HEADER_CACHE_BYTES = 32 << 10
replica.PREFIX_CACHE = replica.VERIFIED_CACHE = 100
replica.DIGEST_CACHE = 500

START_S = 5.0
"""After which all modules are imported, and are not looked through again for garbage."""

INTERVAL_S = 1.0
"""Between two reports."""

KEPT: list[object] = []


class MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def report(path: Path) -> None:
    """Write the bytes that malloc has handed out, garbage collected first, again and again.

    Of one arena and of mappings: MALLOC_ARENA_MAX=1 and PYTHONMALLOC=malloc make that all.
    """
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = MallocInfo
    beside = path.with_suffix(".new")
    pause = threading.Event()
    pause.wait(START_S)
    gc.freeze()
    while True:
        gc.collect()
        info = libc.mallinfo2()
        beside.write_text(str(info.uordblks + info.hblkhd))
        beside.replace(path)
        pause.wait(INTERVAL_S)


def plant(what: str, amount: int) -> None:
    """Let each push leave ``amount`` bytes behind, or each push of ``amount`` an open file."""
    insert = Replica._insert  # noqa: SLF001
    num_pushes = 0

    def leak(self: Replica, name: StateName, fragment_id: FragmentId) -> bool:
        nonlocal num_pushes
        num_pushes += 1
        if what == "memory":
            KEPT.append(bytes(amount))
        elif num_pushes % amount == 0:
            KEPT.append(open(os.devnull, "rb"))  # noqa: PTH123, SIM115
        return insert(self, name, fragment_id)

    Replica._insert = leak  # type: ignore[method-assign]  # noqa: SLF001


if "SOAK_PLANT" in os.environ:
    what, _, amount = os.environ["SOAK_PLANT"].partition(":")
    plant(what, int(amount))
in_use = Path(os.environ["LATENTCRDT_DATA_DIR"]).with_suffix(".in-use")
threading.Thread(target=report, args=(in_use,), daemon=True).start()
