"""What is looked at from outside while clients work: a server's memory, and how soon it answers."""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from latentcrdt_server.background import in_background

from latentcrdt.cli.bench.measure import status_bytes

SAMPLE_S = 0.005
"""Between two looks: often enough for what takes milliseconds, too rarely to cost any."""

ANONYMOUS = "RssAnon"
"""What a process itself holds; pages of files that it maps are the kernel's to drop."""


@contextmanager
def anonymous_memory(pid: int | None) -> Iterator[list[int]]:
    """Yield a list that has, when the block is left, a process's anonymous bytes over time."""
    seen: list[int] = []
    if pid is None:
        yield seen
        return
    with _repeating(lambda: seen.append(status_bytes(pid, ANONYMOUS))):
        yield seen
    seen.append(status_bytes(pid, ANONYMOUS))


@contextmanager
def health(url: str) -> Iterator[list[float]]:
    """Yield a list of the seconds that ``/healthz`` took, asked over and over on one connection."""
    seen: list[float] = []
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port)

    def ask() -> None:
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        seen.append(time.perf_counter() - began)

    with _repeating(ask):
        yield seen
    connection.close()


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least ``part`` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def _repeating(look: Callable[[], None]) -> AbstractContextManager[None]:
    """Call a function at once and again and again in a thread, until the block is left."""

    def repeat(stop: threading.Event) -> None:
        look()
        while not stop.wait(SAMPLE_S):
            look()

    return in_background("watch", repeat)
