"""ProxyNetwork: every link of a cluster as a proxy: it can be cut, slowed and healed by anybody.

``links[a, b]`` carries the connections that server a opens to server b; ``fronts[a]`` those of the
clients of a. Their addresses stay the same while servers die and come back on other ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import permutations
from types import TracebackType
from typing import Self

from latentcrdt.testing.jepsen.fault_proxy import CLEAR, Conditions, FaultProxy
from latentcrdt.testing.jepsen.network import Place

BLOCKED = Conditions(is_blocked=True)


class ProxyNetwork:
    """A full mesh between servers 0 to n-1, and a way in for the clients of each."""

    def __init__(self, num_servers: int, seed: str) -> None:
        """Make all links clear; nothing listens yet."""
        self.links = {
            (a, b): FaultProxy(f"{seed}/{a}-{b}") for a, b in permutations(range(num_servers), 2)
        }
        self.fronts = [FaultProxy(f"{seed}/{a}") for a in range(num_servers)]
        self._stack = AsyncExitStack()

    def place(self, server: int) -> Place:  # noqa: ARG002
        """Let every server run where we do, on a free port of loopback."""
        return Place(command=(), host="127.0.0.1", port=0)

    def connect(self, server: int, address: tuple[str, int] | None) -> None:
        """Lead to a server's new address; None: whoever connects to it is reset."""
        for (_, target), link in self.links.items():
            if target == server:
                link.target = address
        self.fronts[server].target = address

    async def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Hold back whatever the first server of a pair sends to the second."""
        for sender, receiver in pairs:
            self.links[sender, receiver].forward.change(BLOCKED)
            self.links[receiver, sender].backward.change(BLOCKED)

    async def unplug(self, server: int) -> None:
        """Hold back whatever comes to a server, or from it; its clients are not heard either."""
        _impair((link for ends, link in self.links.items() if server in ends), BLOCKED)
        _impair([self.fronts[server]], BLOCKED)

    def impair(self, conditions: Conditions) -> None:
        """Let everything meet these conditions, both ways: between servers, and to clients."""
        _impair(self._proxies(), conditions)

    async def heal(self) -> None:
        """Clear every way."""
        self.impair(CLEAR)

    async def sever(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Break the connections that the first server of a pair has opened to the second."""
        for pair in pairs:
            self.links[pair].reset()

    async def reset(self) -> None:
        """Break every connection that is open."""
        for proxy in self._proxies():
            proxy.reset()

    def peer_urls(self, server: int) -> list[str]:
        """Return where a server finds its peers."""
        return [_url(link) for (source, _), link in self.links.items() if source == server]

    def client_url(self, server: int) -> str:
        """Return where clients find a server."""
        return _url(self.fronts[server])

    async def __aenter__(self) -> Self:
        for proxy in self._proxies():
            await self._stack.enter_async_context(proxy)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _proxies(self) -> Iterator[FaultProxy]:
        yield from self.links.values()
        yield from self.fronts


def _impair(proxies: Iterable[FaultProxy], conditions: Conditions) -> None:
    for proxy in proxies:
        proxy.forward.change(conditions)
        proxy.backward.change(conditions)


def _url(proxy: FaultProxy) -> str:
    host, port = proxy.address
    return f"http://{host}:{port}"
