"""Scrub in the background: once after start, then daily, at a quarter of one core at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import structlog

from latentcrdt.errors import LatentCRDTError
from latentcrdt.store.protocol import Store
from latentcrdt.store.scrub import scrub
from latentcrdt_server.background import in_background

INTERVAL_S = 24 * 3600.0
"""Between the ends and beginnings of passes: disks are usually scrubbed weekly, or monthly."""

REST = 3.0
"""Seconds of rest for each second of hashing, so that requests hardly notice."""

log = structlog.get_logger("latentcrdt_server")


def scrubbing(store: Store, on_damage: Callable[[], None]) -> AbstractContextManager[None]:
    """Scrub a store in a thread while the block runs; ``on_damage`` is told of each finding."""
    return in_background("scrub", partial(_scrub_until, store, on_damage))


def _scrub_until(store: Store, on_damage: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            _pass(store, stop, on_damage)
        except LatentCRDTError as error:
            # A store that fails says so to every request too; the next pass may find it opened.
            log.warning("scrub ended early", error=str(error))
        stop.wait(INTERVAL_S)


def _pass(store: Store, stop: threading.Event, on_damage: Callable[[], None]) -> None:
    intact = damaged = 0
    began = time.monotonic()
    for finding in scrub(store):
        if finding.problem is None:
            intact += 1
        else:
            damaged += 1
            log.error("damaged", fragment=str(finding.fragment_id), problem=finding.problem)
            on_damage()
        if stop.wait(REST * (time.monotonic() - began)):
            return
        began = time.monotonic()
    log.info("scrubbed", intact=intact, damaged=damaged)
