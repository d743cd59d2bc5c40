"""Network: what lies between servers, their peers and clients; it can be parted and healed.

Servers are numbered from 0. A fault knows no more of a network than this, and a cluster neither:
`ProxyNetwork` runs everywhere, `NamespaceNetwork` parts the kernel's own TCP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server has to run and to listen."""

    command: tuple[str, ...]
    """What starts a program there, to be followed by the program; it becomes that program, and so
    has its process id. Empty: no help is needed."""
    host: str
    port: int
    """0: any that is free."""


class Network(Protocol):
    """A full mesh between servers, and a way in for the clients of each."""

    def place(self, server: int) -> Place:
        """Return where a server has to run."""

    def connect(self, server: int, address: tuple[str, int] | None) -> None:
        """Learn where a server answers now; None: it no longer does."""

    def peer_urls(self, server: int) -> list[str]:
        """Return where a server finds its peers; the same for the whole run."""

    def client_url(self, server: int) -> str:
        """Return where clients find a server; the same for the whole run."""

    async def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let nothing pass that the first server of a pair sends to the second."""

    async def unplug(self, server: int) -> None:
        """Let nothing pass to a server or from it, its clients included."""

    async def heal(self) -> None:
        """Let everything pass."""

    async def sever(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Break the connections that the first server of a pair has opened to the second."""

    async def reset(self) -> None:
        """Break every connection that is open."""

    async def __aenter__(self) -> Self:
        """Let it exist, whole."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove all of it."""
