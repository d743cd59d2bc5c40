"""Flows of a blocking client at once, each in a thread; the first that fails ends the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from latentcrdt.client.answers import Answer
from latentcrdt.client.intake import Intake
from latentcrdt.client.steps import Flow
from latentcrdt.core.encoding import Buffer

T = TypeVar("T")


class Stop:
    """Whether a group of flows is to end early, or the group that it belongs to."""

    def __init__(self, outer: Stop | None = None) -> None:
        self._outer = outer
        self._event = threading.Event()

    def set(self) -> None:
        """End the flows, each with its next step or with the next bytes that it gets."""
        self._event.set()

    def check(self) -> None:
        """Raise CancelledError if the flows are to end."""
        if self._event.is_set():
            raise CancelledError
        if self._outer is not None:
            self._outer.check()


class StoppableIntake(Generic[T]):
    """An `Intake` that gives up when its flow is to end."""

    def __init__(self, intake: Intake[T], stop: Stop) -> None:
        self._intake = intake
        self._stop = stop

    def headers(self) -> dict[str, str]:
        """Return what to add to the request of this attempt."""
        return self._intake.headers()

    def begin(self, head: Answer) -> None:
        """Take the status and headers of this attempt's answer."""
        self._intake.begin(head)

    def room(self) -> memoryview:
        """Return where the next bytes may be read to."""
        return self._intake.room()

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the body while they are wanted."""
        self._stop.check()
        self._intake.feed(data)

    def finish(self) -> T:
        """Return the result."""
        return self._intake.finish()


def side_by_side(
    run: Callable[[Flow[T], Stop], T], flows: Sequence[Flow[T]], num_threads: int, outer: Stop
) -> list[T]:
    """Return what ``run`` makes of each flow, or raise what the first that failed did.

    Whichever way this ends, nothing of the group goes on behind the caller's back.
    """
    if num_threads == 1 or len(flows) < 2:
        return [run(flow, outer) for flow in flows]
    stop = Stop(outer)
    with ThreadPoolExecutor(min(len(flows), num_threads), "latentcrdt-client") as pool:
        futures = [pool.submit(run, flow, stop) for flow in flows]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
        for future in done:
            future.result()  # the error of the first that failed; the others only say: stopped
    return [future.result() for future in futures]
