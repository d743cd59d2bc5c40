"""Flows of a blocking client at once, each in a thread; the first that fails ends the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from latentcrdt.client.flows.steps import Flow
from latentcrdt.client.gate import Gate

T = TypeVar("T")


def side_by_side(
    run: Callable[[Flow[T], Gate], T], flows: Sequence[Flow[T]], num_threads: int, outer: Gate
) -> list[T]:
    """Return what ``run`` makes of each flow, or raise what the first that failed raised.

    Whichever way this ends, the flows have no effect on memory, files or progress afterwards. A
    thread that waits for a silent server is left to find that out, so that an interrupted program
    ends without it; a question that it was about to ask may still be asked.
    """
    gate = Gate(outer)
    waiting: SimpleQueue[tuple[int, Flow[T]]] = SimpleQueue()
    ended: SimpleQueue[tuple[int, T] | BaseException] = SimpleQueue()
    for numbered in enumerate(flows):
        waiting.put(numbered)

    def work() -> None:
        with suppress(Empty):
            while True:
                number, flow = waiting.get_nowait()
                try:
                    ended.put((number, run(flow, gate)))
                except BaseException as error:  # noqa: BLE001 - raised to whoever waits
                    ended.put(error)
                    while True:  # nothing more is begun
                        waiting.get_nowait()

    try:
        for number in range(min(num_threads, len(flows))):
            threading.Thread(target=work, name=f"latentcrdt-flow-{number}", daemon=True).start()
        results: dict[int, T] = {}
        while len(results) < len(flows):
            outcome = ended.get()
            if isinstance(outcome, BaseException):
                raise outcome
            results.update([outcome])
        return [results[number] for number in range(len(flows))]
    finally:
        gate.close()
