"""A server that sends back what it gets, and remembers it: what stands behind a proxy in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from latentcrdt.testing.jepsen.fault_proxy import FaultProxy

PATIENCE_S = 60
"""After which a test that waits for what does not come is over."""


@dataclass
class Echo:
    address: tuple[str, int] = ("", 0)
    received: list[bytearray] = field(default_factory=list)
    """By connection."""
    broken: int = 0
    """Connections that ended with a reset."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()


@asynccontextmanager
async def echoing(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Echo]:
    echo = Echo()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        echo.received.append(received)
        try:
            while data := await reader.read(65536):
                received += data
                echo.change()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            echo.broken += 1
            echo.change()
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port)
    echo.address = server.sockets[0].getsockname()
    try:
        yield echo
    finally:
        server.close()


class Caller:
    """A connection to a proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, proxy: FaultProxy) -> Caller:
        caller = cls()
        caller.reader, caller.writer = await asyncio.open_connection(*proxy.address)
        return caller

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, length: int) -> bytes:
        return await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """What comes until the connection ends in order; raises ConnectionResetError if not."""
        return await self.reader.read(-1)


async def round_trip_of_another_connection(echo: Echo) -> None:
    """Give the loop the time in which a byte let through would have arrived."""
    async with FaultProxy("another") as proxy:
        proxy.target = echo.address
        caller = await Caller.connect(proxy)
        caller.send(b"x")
        assert await caller.receive(1) == b"x"


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
