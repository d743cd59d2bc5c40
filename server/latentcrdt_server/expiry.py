"""Retract states when their lifetime ends, in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica

INTERVAL_S = 1.0
"""How late a state may end."""

log = structlog.get_logger("latentcrdt_server")


@contextmanager
def expiring(replica: Replica) -> Iterator[None]:
    """Look for states whose time has come, in a thread, while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_expire_until, args=(replica, stop), name="expiry")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _expire_until(replica: Replica, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_S):
        try:
            for name in replica.expire(time.time()):
                log.info("expired", state=name)
        except LatentCRDTError as error:
            log.warning("cannot expire", code=error.code, error=str(error))
