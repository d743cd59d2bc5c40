"""Agents that push to servers, some of which die."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment
from tests.server.wire import push, wait_until


class Pushers:
    """Threads that push fragments to servers until they are told to stop; retries are theirs."""

    def __init__(self, urls: list[str], num_threads: int, *, first_seed: int = 0) -> None:
        self.acknowledged: list[Fragment] = []
        self.num_failed = 0
        self._seeds = itertools.count(first_seed)
        self._stopping = False
        self._pool = ThreadPoolExecutor(num_threads)
        self._running: list[Future[None]] = [
            self._pool.submit(self._push, urls[n % len(urls)]) for n in range(num_threads)
        ]

    def wait_for(self, count: int) -> None:
        """Return once so many have been acknowledged."""
        wait_until(lambda: len(self.acknowledged) >= count, within_s=60)

    def stop(self) -> None:
        """End them all, and raise what they met with."""
        self._stopping = True
        for pusher in self._running:
            pusher.result()
        self._pool.shutdown()

    def _push(self, url: str) -> None:
        with httpx2.Client(base_url=url, timeout=60) as http:
            while not self._stopping:
                fragment = make_fragment(next(self._seeds), seq_len=200)
                try:
                    answer = push(http, "s", fragment)
                except httpx2.TransportError:
                    self.num_failed += 1
                    return
                if answer.status_code == 201:
                    self.acknowledged.append(fragment)
                else:
                    assert answer.status_code in (503, 507), answer.text
                    self.num_failed += 1
