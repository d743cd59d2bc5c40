"""Aftermath: what is asked once everything has healed, until the servers agree or time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.recorder import Recorder
from latentcrdt.testing.jepsen.workload import Workload

BETWEEN_READS_S = 0.1
"""Between two rounds of reads: how exactly the time to convergence is known."""

FETCHES_AT_ONCE = 16
"""Of all servers together."""


@dataclass(frozen=True, slots=True)
class Fetches:
    """Every acknowledged fragment, fetched from every server."""

    num_fetched: int
    """Those that came, and were the bytes that had been pushed."""
    failed: tuple[str, ...]
    """What is wrong with the others, each with its element and server."""


async def agree(
    workload: Workload, recorder: Recorder, servers: Sequence[int], patience_s: float
) -> float | None:
    """Read from every server until all hold all that was acknowledged, and nothing else.

    Returns after how many seconds that was so; None if it was not within ``patience_s``.
    """
    begun = time.monotonic()
    acknowledged = _acknowledged(recorder.history())
    process = workload.new_process()
    while True:
        reads = [await workload.read(process, server) for server in servers]
        elapsed = time.monotonic() - begun
        if len(set(reads)) == 1 and reads[0] is not None and acknowledged <= set(reads[0]):
            return elapsed
        if elapsed > patience_s:
            return None
        await asyncio.sleep(BETWEEN_READS_S)


async def fetch_all(workload: Workload, history: History, servers: Iterable[int]) -> Fetches:
    """Fetch every acknowledged fragment from every server, and verify it."""
    turns = asyncio.Semaphore(FETCHES_AT_ONCE)

    async def fetch(element: int, server: int) -> str | None:
        async with turns:
            wrong = await workload.fetch(element, server)
            return wrong and f"element {element}, server {server}: {wrong}"

    wanted = [(e, server) for e in sorted(_acknowledged(history)) for server in servers]
    answers = await asyncio.gather(*(fetch(element, server) for element, server in wanted))
    failed = tuple(wrong for wrong in answers if wrong)
    return Fetches(len(answers) - len(failed), failed)


def _acknowledged(history: History) -> set[int]:
    return {element for element, add in history.adds().items() if add.acknowledgement}
