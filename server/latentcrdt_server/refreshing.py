"""Take over what other servers merged into the same bucket, in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica

INTERVAL_S = 0.5
"""Two servers see each other's members within about a second. A look costs one listing, and one
more for each server."""

log = structlog.get_logger("latentcrdt_server")


@contextmanager
def refreshing(replica: Replica) -> Iterator[None]:
    """Look for news in a thread, while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_refresh_until, args=(replica, stop), name="refresh")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _refresh_until(replica: Replica, stop: threading.Event) -> None:
    failing = False
    while not stop.wait(INTERVAL_S):
        try:
            replica.refresh()
        except LatentCRDTError as error:
            if not failing:  # said once, not twice a second
                log.warning("cannot refresh", code=error.code, error=str(error))
            failing = True
        else:
            if failing:
                log.info("refreshed again")
            failing = False
