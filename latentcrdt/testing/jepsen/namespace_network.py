"""NamespaceNetwork: every server in a network namespace of its own, with a router between them.

What is parted here is the kernel's own TCP: packets vanish on the way, in one direction or both,
while either end sends again, later and later, and gives up when it sees fit. Needs Linux, root, and
`ip` and `ss` of iproute2.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.testing.jepsen.network import Place
from latentcrdt.testing.jepsen.network_namespace import NetworkNamespace

PORT = 8000
"""Of every server: each has an address, and so all ports, for itself."""

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
"""Whether a network stack passes on what is not for itself: of the one that the thread is in."""

LIST = ("ss", "--no-header", "--tcp", "--numeric", "state", "established")
BREAK = (*LIST, "--kill")
"""Connections, as the kernel knows them."""

PROGRAMS = ("ip", "ss", "nsenter", "setpriv")
"""The first two from iproute2, the others from util-linux."""


class NamespaceNetwork:
    """Server n has the address 198.18.n.2 and a cable to the router, where the clients are.

    198.18.0.0/15 is set aside for tests of network equipment (RFC 2544); nothing outside of the
    namespaces hears of it. While the network is entered, this thread is at the router: it reaches
    the servers, and nothing else.
    """

    def __init__(self, num_servers: int) -> None:
        """Make nothing yet."""
        self._num_servers = num_servers
        self._stack = ExitStack()
        self.namespaces: list[NetworkNamespace] = []
        """Of the servers; none until the network is entered."""
        self._blocked: set[tuple[int, int]] = set()
        self._unplugged: set[int] = set()

    def place(self, server: int) -> Place:
        """Return a server's namespace and address."""
        return Place(self.namespaces[server].command, _address(server), PORT)

    def connect(self, server: int, address: tuple[str, int] | None) -> None:
        """Do nothing: a server that comes back has the address that it had."""

    def peer_urls(self, server: int) -> list[str]:
        """Return where a server finds its peers."""
        return [self.client_url(peer) for peer in range(self._num_servers) if peer != server]

    def client_url(self, server: int) -> str:
        """Return where clients find a server, which is where its peers do."""
        return f"http://{_address(server)}:{PORT}"

    async def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let the router swallow what the first server of a pair sends to the second."""
        new = set(pairs) - self._blocked
        self._blocked |= new
        await self._configure(f"rule add {_silence(*pair)}" for pair in new)

    async def unplug(self, server: int) -> None:
        """Pull a server's cable; the router tells those who ask for it that it is unreachable."""
        self._unplugged.add(server)
        await self._configure([f"link set {_cable(server)} down"])

    async def heal(self) -> None:
        """Let everything pass."""
        rules = [f"rule del {_silence(*pair)}" for pair in self._blocked]
        cables = [f"link set {_cable(server)} up" for server in self._unplugged]
        self._blocked.clear()
        self._unplugged.clear()
        await self._configure([*rules, *cables])

    async def sever(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Break the connections that the first server of a pair has opened to the second.

        Each end is told by its own kernel, as if it had given up; no word of it need pass. Raises
        OSError if this kernel does not break connections (CONFIG_INET_DIAG_DESTROY).
        """
        for opener, taker in pairs:
            near = f"dst {_address(taker)} and dport = {PORT}"
            far = f"dst {_address(opener)} and sport = {PORT}"
            for server, which in ((opener, near), (taker, far)):
                namespace = self.namespaces[server]
                await asyncio.to_thread(namespace.run, *BREAK, which)
                if left := await asyncio.to_thread(namespace.run, *LIST, which):
                    raise OSError(f"this kernel does not break connections: {left}")

    async def reset(self) -> None:
        """Break every connection that is open."""
        for namespace in self.namespaces:
            await asyncio.to_thread(namespace.run, *BREAK)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._build)
        self._stack.enter_context(self._router.entered())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _build(self) -> None:
        """Make namespaces and cables; raises OSError, and leaves nothing, if that fails."""
        with ExitStack() as undo:
            self._router = undo.enter_context(closing(NetworkNamespace()))
            self.namespaces = [
                undo.enter_context(closing(NetworkNamespace())) for _ in range(self._num_servers)
            ]
            with self._router.entered():
                FORWARDING.write_text("1")
            for n, namespace in enumerate(self.namespaces):
                self._router.run("ip", "-batch", "-", lines=_router_end(n, namespace))
                namespace.run("ip", "-batch", "-", lines=_server_end(n))
            self._stack = undo.pop_all()

    async def _configure(self, lines: Iterable[str]) -> None:
        """Let `ip` do these things at the router."""
        await asyncio.to_thread(self._router.run, "ip", "-batch", "-", lines=list(lines))


def _address(server: int) -> str:
    return f"198.18.{server}.2"


def _cable(server: int) -> str:
    """Name the router's end of the cable to a server."""
    return f"server-{server}"


def _silence(sender: int, receiver: int) -> str:
    """Spell the rule by which packets vanish; to the router, "blackhole" means without a word."""
    return f"from {_address(sender)} to {_address(receiver)} blackhole"


def _router_end(server: int, namespace: NetworkNamespace) -> list[str]:
    """Spell what makes a cable, and the router's end of it."""
    cable = _cable(server)
    return [
        f"link add name {cable} type veth peer name uplink netns {namespace.path}",
        f"address add 198.18.{server}.1/30 dev {cable}",
        f"link set {cable} up",
    ]


def _server_end(server: int) -> list[str]:
    """Spell what a server needs to reach everybody over its cable."""
    return [
        "link set lo up",
        f"address add {_address(server)}/30 dev uplink",
        "link set uplink up",
        f"route add default via 198.18.{server}.1",
    ]


def why_unavailable() -> str | None:
    """Return why networks of namespaces cannot be had here; None if they can."""
    if sys.platform != "linux":
        return "network namespaces: only Linux has them"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"network namespaces: {' and '.join(missing)} not found (iproute2, util-linux)"
    try:
        asyncio.run(_probe())
    except OSError as error:
        return str(error)
    return None


async def _probe() -> None:
    async with NamespaceNetwork(2) as network:
        await network.block([(0, 1)])
