"""The process whose memory Mooncake keeps objects in: ``FOLDER MASTER BYTES``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

READY = "holding"

LOCAL_BUFFER_BYTES = 16 << 20
"""Its default; put_from and get_into use the caller's own, registered memory."""


def open_store(packages: str, master: str, segment_bytes: int) -> Any:
    """Return a Mooncake store that gives this much memory; raise RuntimeError if it cannot."""
    sys.path.append(packages)
    os.environ["GLOG_minloglevel"] = "2"  # noqa: SIM112  # its name; errors only
    from mooncake.store import (  # type: ignore[import-not-found]  # noqa: PLC0415  # a peer's wheel
        MooncakeDistributedStore,
    )

    store = MooncakeDistributedStore()
    code = store.setup(
        "127.0.0.1", "P2PHANDSHAKE", segment_bytes, LOCAL_BUFFER_BYTES, "tcp", "", master
    )
    if code:
        raise RuntimeError(f"Mooncake: expected setup to return 0, got {code}")
    return store


def main() -> None:
    """Hold until terminated."""
    store = open_store(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(READY, flush=True)
    signal.pause()
    del store


if __name__ == "__main__":
    main()
