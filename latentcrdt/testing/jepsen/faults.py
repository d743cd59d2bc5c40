"""Faults: what may befall a cluster, each with its beginning and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from latentcrdt.testing.jepsen.fault_proxy import Conditions
from latentcrdt.testing.jepsen.network import Network
from latentcrdt.testing.jepsen.proxy_network import ProxyNetwork


class Cluster(Protocol):
    """Servers that can be tormented, numbered from 0, and the network between them."""

    @property
    def network(self) -> Network:
        """What lies between them; a fault leaves it whole when it ends."""

    async def kill(self, server: int) -> None:
        """End a server as SIGKILL does."""

    async def start(self, server: int) -> None:
        """Start a server on the data that it has; returns when it answers."""

    async def pause(self, server: int) -> None:
        """Let a server not run, as SIGSTOP does."""

    async def resume(self, server: int) -> None:
        """Let it run again."""

    async def fill_disk(self, server: int) -> None:
        """Leave a server's file system no room."""

    async def free_disk(self, server: int) -> None:
        """Give the room back."""


class Fault(Protocol):
    """One thing that goes wrong for a while."""

    @property
    def name(self) -> str:
        """Its class, under which the verdict counts it."""

    async def begin(self, cluster: Cluster) -> None:
        """Let it happen."""

    async def end(self, cluster: Cluster) -> None:
        """Undo it; what it did to requests meanwhile stays done."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Servers die and are started again."""

    name: str
    servers: tuple[int, ...]

    async def begin(self, cluster: Cluster) -> None:
        """Kill them all."""
        await _each(cluster.kill, self.servers)

    async def end(self, cluster: Cluster) -> None:
        """Start them all."""
        await _each(cluster.start, self.servers)


@dataclass(frozen=True, slots=True)
class Pause:
    """Servers do not run for a while, and do not know it."""

    name: str
    servers: tuple[int, ...]

    async def begin(self, cluster: Cluster) -> None:
        """Pause them."""
        await _each(cluster.pause, self.servers)

    async def end(self, cluster: Cluster) -> None:
        """Resume them."""
        await _each(cluster.resume, self.servers)


@dataclass(frozen=True, slots=True)
class FullDisk:
    """Servers have no room to write."""

    name: str
    servers: tuple[int, ...]

    async def begin(self, cluster: Cluster) -> None:
        """Fill their file systems."""
        await _each(cluster.fill_disk, self.servers)

    async def end(self, cluster: Cluster) -> None:
        """Make room."""
        await _each(cluster.free_disk, self.servers)


@dataclass(frozen=True, slots=True)
class RestartOnFullDisk:
    """Servers run out of room, die, and have to start without any."""

    name: str
    servers: tuple[int, ...]

    async def begin(self, cluster: Cluster) -> None:
        """Fill their file systems, and kill and start them."""
        for act in (cluster.fill_disk, cluster.kill, cluster.start):
            await _each(act, self.servers)

    async def end(self, cluster: Cluster) -> None:
        """Make room."""
        await _each(cluster.free_disk, self.servers)


@dataclass(frozen=True, slots=True)
class Partition:
    """Some servers do not hear some others."""

    name: str
    blocked: tuple[tuple[int, int], ...]
    """Pairs of sender and receiver."""
    outlasts_connections: bool
    """Whether the connections between them are broken when it ends, given up by either end; if
    not, what was sent meanwhile arrives then."""

    async def begin(self, cluster: Cluster) -> None:
        """Block what they send."""
        await cluster.network.block(self.blocked)

    async def end(self, cluster: Cluster) -> None:
        """Clear all ways."""
        if self.outlasts_connections:
            await cluster.network.sever(self.blocked)
            await cluster.network.sever((b, a) for a, b in self.blocked)
        await cluster.network.heal()


@dataclass(frozen=True, slots=True)
class Unplug:
    """A server hears nobody, its clients included, and nobody hears it."""

    name: str
    server: int

    async def begin(self, cluster: Cluster) -> None:
        """Pull its cable."""
        await cluster.network.unplug(self.server)

    async def end(self, cluster: Cluster) -> None:
        """Plug it in."""
        await cluster.network.heal()


@dataclass(frozen=True, slots=True)
class BadLinks:
    """All links, those to clients too, are bad in the same way; only proxies can be."""

    name: str
    conditions: Conditions

    async def begin(self, cluster: Cluster) -> None:
        """Impair them."""
        assert isinstance(cluster.network, ProxyNetwork)
        cluster.network.impair(self.conditions)

    async def end(self, cluster: Cluster) -> None:
        """Clear all ways."""
        await cluster.network.heal()


@dataclass(frozen=True, slots=True)
class Reset:
    """All connections break at once, and can be opened again at once."""

    name: str

    async def begin(self, cluster: Cluster) -> None:
        """Break them."""
        await cluster.network.reset()

    async def end(self, cluster: Cluster) -> None:
        """Undo nothing: it was over at once."""


async def _each(act: Callable[[int], Awaitable[None]], servers: tuple[int, ...]) -> None:
    await asyncio.gather(*map(act, servers))
