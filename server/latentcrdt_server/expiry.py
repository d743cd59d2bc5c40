"""Retract states when their lifetime ends, in the background."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from functools import partial

import structlog

from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica
from latentcrdt_server.background import in_background

INTERVAL_S = 1.0
"""How late a state may end."""

log = structlog.get_logger("latentcrdt_server")


def expiring(replica: Replica) -> AbstractContextManager[None]:
    """Look for states whose time has come, in a thread, while the block runs."""
    return in_background("expiry", partial(_expire_until, replica))


def _expire_until(replica: Replica, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_S):
        try:
            for name in replica.expire(time.time()):
                log.info("expired", state=name)
        except LatentCRDTError as error:
            log.warning("cannot expire", code=error.code, error=str(error))
