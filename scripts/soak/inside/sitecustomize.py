"""On the path of a server, this makes its caches small; and plants the leak that SOAK_PLANT names.

A cache that fills up looks like a leak until it is full. The caches of a server take hours to fill,
these seconds: what grows in spite of that has no bound. What they do is the same.
"""

from __future__ import annotations

import os

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.replication import replica
from latentcrdt.replication.replica import Replica

replica.HEADER_CACHE_BYTES = 32 << 10
replica.PREFIX_CACHE = replica.SORT_KEY_CACHE = replica.VERIFIED_CACHE = 100
replica.DIGEST_CACHE = 500

KEPT: list[object] = []


def plant(what: str, amount: int) -> None:
    """Let each push leave ``amount`` bytes behind, or each push of ``amount`` an open file."""
    insert = Replica._insert_verified  # noqa: SLF001
    num_pushes = 0

    def leak(self: Replica, name: StateName, fragment_id: FragmentId) -> bool:
        nonlocal num_pushes
        num_pushes += 1
        if what == "memory":
            KEPT.append(bytes(amount))
        elif num_pushes % amount == 0:
            KEPT.append(open(os.devnull, "rb"))  # noqa: PTH123, SIM115
        return insert(self, name, fragment_id)

    Replica._insert_verified = leak  # type: ignore[method-assign]  # noqa: SLF001


if "SOAK_PLANT" in os.environ:
    what, _, amount = os.environ["SOAK_PLANT"].partition(":")
    plant(what, int(amount))
