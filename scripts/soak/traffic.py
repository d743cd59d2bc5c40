"""Traffic: agents that push, fetch, list, render and retract, in threads."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from itertools import count

import httpx2

from latentcrdt.client import Client
from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import (
    BusyError,
    FragmentNotFoundError,
    NothingToRenderError,
    StateNotFoundError,
    StateRetractedError,
)
from latentcrdt.testing.fragments import make_fragment

FRAGMENTS_A_STATE = 40
"""Pushed to a state before the next one begins."""

LIVING_STATES = 5
"""States that are not retracted: about 200 fragments are held at any time."""

MAX_TOKENS = 200
"""Of a fragment; with the geometry of the tests, 20 kB: what leaks, leaks with each push, and the
more pushes there are the sooner it shows."""

EXPECTED = (
    BusyError,
    FragmentNotFoundError,
    NothingToRenderError,
    StateNotFoundError,
    StateRetractedError,
)
"""What an agent meets whose states end while it works."""


class Traffic:
    """Agents in threads, until they are told to stop; the first surprise ends them all."""

    def __init__(self, urls: list[str], num_distinct: int) -> None:
        self.calls: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.surprise: Exception | None = None
        self._urls = urls
        self._num_distinct = num_distinct
        self._states: list[str] = []
        self._stop = threading.Event()
        agents: list[Callable[[Client, random.Random], str]]
        agents = [self._fetch, self._render_there, self._render_here, self._list]
        self._seeds = count()
        self._threads = [
            threading.Thread(target=self._run, args=(agent, seed))
            for seed, agent in enumerate([self._push, self._push, *agents])
        ]

    def start(self) -> None:
        """Start every agent."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every agent after the call that it is in."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_over(self) -> bool:
        """Whether something went wrong that should not."""
        return self._stop.is_set()

    def _run(self, agent: Callable[[Client, random.Random], str], seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - load, not secrets
        clients = [Client(url) for url in self._urls]
        while not self._stop.is_set():
            try:
                self.calls[agent(chance.choice(clients), chance)] += 1
            except EXPECTED as error:
                self.expected[error.code] += 1
                self._stop.wait(0.01)
            except Exception as error:  # noqa: BLE001 - told by whoever waits for the threads
                self.surprise = error
                self._stop.set()
        for client in clients:
            client.close()

    def _push(self, client: Client, _chance: random.Random) -> str:
        seed = next(self._seeds)
        if seed % FRAGMENTS_A_STATE == 0:
            self._states.append(f"soak-{seed // FRAGMENTS_A_STATE}")
            if len(self._states) > LIVING_STATES:
                client.retract(self._states.pop(0))
        client.push(self._states[-1], _fragment(seed % self._num_distinct))
        return "push"

    def _fetch(self, client: Client, chance: random.Random) -> str:
        members = client.state(self._any_state(chance)).members
        if members:
            client.fetch(chance.choice(members).fragment_id)
        return "fetch"

    def _render_there(self, client: Client, chance: random.Random) -> str:
        client.render(self._any_state(chance))
        return "render by the server"

    def _render_here(self, client: Client, chance: random.Random) -> str:
        client.render(self._any_state(chance), where="client")
        return "render by the client"

    def _list(self, client: Client, chance: random.Random) -> str:
        client.states()
        client.plan(self._any_state(chance))
        for url in self._urls:
            httpx2.get(f"{url}/metrics").raise_for_status()
        return "list"

    def _any_state(self, chance: random.Random) -> str:
        return chance.choice(self._states or ["soak-0"])


@lru_cache(maxsize=1000)
def _fragment(content: int) -> Fragment:
    return make_fragment(content, seq_len=1 + content * 7919 % MAX_TOKENS)
