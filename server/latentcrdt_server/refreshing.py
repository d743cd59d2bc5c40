"""Take over what other servers merged into the same bucket, in the background."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from functools import partial

import structlog

from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica
from latentcrdt_server.background import in_background

INTERVAL_S = 0.5
"""Two servers see each other's members within about a second. A look costs one listing, and one
more for each server."""

log = structlog.get_logger("latentcrdt_server")


def refreshing(replica: Replica) -> AbstractContextManager[None]:
    """Look for news in a thread, while the block runs."""
    return in_background("refresh", partial(_refresh_until, replica))


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
