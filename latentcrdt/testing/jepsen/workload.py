"""Workload: clients that add fragments to one state, and read it, at servers taken at random.

Element n is the fragment made from seed n. Every operation is one request: a client that tried
again by itself would hide what the server did.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from latentcrdt.client.asynchronous import AsyncClient
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import LatentCRDTError, StateNotFoundError
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.recorder import Recorder

STATE = "jepsen"
"""The state that all elements are added to."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard the clients work."""

    num_clients: int
    operations_per_s: float
    """Of all clients together, as long as answers come fast enough."""
    add_share: float = 0.5
    """How many of the operations are adds."""
    timeout_s: float = 2.0
    """After which a client gives an operation up, and does not know what became of it."""


class Workload:
    """The clients of one run, to be used as an asynchronous context manager."""

    def __init__(self, urls: Sequence[str], recorder: Recorder, pace: Pace, seed: str) -> None:
        """Take the servers' addresses, by number."""
        self._recorder = recorder
        self._pace = pace
        self._seed = seed
        self._clients = [AsyncClient(url, timeout_s=pace.timeout_s, attempts=1) for url in urls]
        self._patient_clients = [AsyncClient(url) for url in urls]
        self._elements: dict[FragmentId, int] = {}
        self._added = itertools.count()
        self._unexpected = itertools.count(-1, -1)
        self._processes = itertools.count()

    async def run(self, until: asyncio.Event) -> None:
        """Add and read until told to stop; what is under way then is finished."""
        async with asyncio.TaskGroup() as group:
            for n in range(self._pace.num_clients):
                group.create_task(self._be_client(f"{self._seed}/{n}", until))

    async def add(self, process: int, server: int) -> bool:
        """Add the next element at a server; return whether it was acknowledged."""
        element = next(self._added)
        fragment = make_fragment(element)
        self._elements[fragment.fragment_id] = element
        invocation = self._recorder.begin(process, "add", server, element)
        try:
            async with asyncio.timeout(self._pace.timeout_s):
                await self._clients[server].push(STATE, fragment)
        except (LatentCRDTError, TimeoutError) as error:
            # Whatever was answered, part of it may have been stored.
            self._recorder.end(invocation, "info", error=_reason(error))
            return False
        self._recorder.end(invocation, "ok")
        return True

    async def read(self, process: int, server: int) -> Elements | None:
        """Read the state at a server; return what it holds, None if there is no answer."""
        invocation = self._recorder.begin(process, "read", server)
        try:
            async with asyncio.timeout(self._pace.timeout_s):
                listing = await self._clients[server].state(STATE)
            elements = Elements.of(self._element(m.fragment_id) for m in listing.members)
        except StateNotFoundError:
            elements = Elements()  # this server has not heard of it
        except (LatentCRDTError, TimeoutError) as error:
            self._recorder.end(invocation, "fail", error=_reason(error))
            return None
        self._recorder.end(invocation, "ok", elements)
        return elements

    async def fetch(self, element: int, server: int) -> str | None:
        """Fetch the fragment of an element, and compare all of it; return what is wrong.

        Not an operation of the history: it is tried as often as clients usually try.
        """
        expected = make_fragment(element)
        try:
            fetched = await self._patient_clients[server].fetch(expected.fragment_id)
        except LatentCRDTError as error:
            return _reason(error)
        return None if fetched.to_bytes() == expected.to_bytes() else "other bytes"

    def new_process(self) -> int:
        """Return a process that has not done anything yet."""
        return next(self._processes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in (*self._clients, *self._patient_clients):
            await client.close()

    async def _be_client(self, seed: str, until: asyncio.Event) -> None:
        rng = random.Random(seed)  # noqa: S311
        mean_wait_s = self._pace.num_clients / self._pace.operations_per_s
        process = self.new_process()
        while not until.is_set():
            server = rng.randrange(len(self._clients))
            if rng.random() >= self._pace.add_share:
                await self.read(process, server)
            elif not await self.add(process, server):
                process = self.new_process()
            with suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), rng.expovariate(1 / mean_wait_s))

    def _element(self, fragment_id: FragmentId) -> int:
        """Return the element of a fragment; a negative one if nobody ever tried to add it."""
        if fragment_id not in self._elements:
            self._elements[fragment_id] = next(self._unexpected)
        return self._elements[fragment_id]


def _reason(error: LatentCRDTError | TimeoutError) -> str:
    return f"{error.code}: {error.message}" if isinstance(error, LatentCRDTError) else "timeout"
