"""FaultProxy: a TCP proxy that makes one link as bad as it is told to be.

Bytes are never changed, lost or swapped within a connection: TCP sees to that in real networks too.
What remains is that they come late, in small pieces, not at all until the link heals, or that the
connection breaks in the middle of them.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PIECE_BYTES = 1 << 16
"""Read at once from a socket."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends RST, and the other end cannot take it for an end."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What bytes meet that go one way."""

    is_blocked: bool = False
    """Whether they are held back until that changes: a black hole while TCP sends again."""
    delay_s: tuple[float, float] = (0.0, 0.0)
    """Least and longest wait of each piece."""
    piece_bytes: int = PIECE_BYTES
    """How much goes at once: few bytes, with a delay, are a slow drip."""
    cut_after_bytes: tuple[int, int] | None = None
    """How much passes, at least and at most, before the connection is reset; None: all of it."""


CLEAR = Conditions()


class Lane:
    """One direction of a proxy, for all its connections."""

    def __init__(self) -> None:
        """Begin clear."""
        self._conditions = CLEAR
        self._open = asyncio.Event()
        self._open.set()

    @property
    def conditions(self) -> Conditions:
        """What bytes meet now."""
        return self._conditions

    def change(self, conditions: Conditions) -> None:
        """Let bytes meet other conditions from now on, those under way included."""
        self._conditions = conditions
        if conditions.is_blocked:
            self._open.clear()
        else:
            self._open.set()

    async def passable(self) -> None:
        """Wait until the lane is not blocked."""
        while self._conditions.is_blocked:  # again by the time that this task runs, perhaps
            await self._open.wait()


class FaultProxy:
    """Listens on a free port of loopback, and connects whoever comes to ``target``.

    Delays and cuts are drawn from ``seed``, the number of the connection and its direction, so that
    the same connections meet the same faults again.
    """

    def __init__(self, seed: str, *, sleep: Sleep = asyncio.sleep) -> None:
        """Make a proxy without a target: connections to it are reset."""
        self.target: tuple[str, int] | None = None
        """Host and port; to be changed at any time, for the connections to come."""
        self.forward = Lane()
        """From those who connect to the target."""
        self.backward = Lane()
        """From the target back."""
        self._seed = seed
        self._sleep = sleep
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._num_connections = 0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return host, port

    def reset(self) -> None:
        """Break every connection."""
        for writers in self._connections.values():
            _reset(writers)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._connections[task] = [writer]
        name = f"{self._seed}/{self._num_connections}"
        self._num_connections += 1
        try:
            await self._relay(reader, writers, name)
        # asyncio.streams of Python 3.11 reports a cancelled task as an error.
        except* (OSError, asyncio.CancelledError):
            _reset(writers)
        finally:
            for each in writers:
                each.close()
            del self._connections[task]

    async def _relay(
        self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter], name: str
    ) -> None:
        """Connect to the target and carry bytes both ways, until both have ended or one breaks."""
        for lane in (self.forward, self.backward):  # a handshake needs both
            await lane.passable()
        if writers[0].is_closing():
            return
        if self.target is None:
            raise ConnectionRefusedError("the proxy has no target")
        target_reader, target_writer = await asyncio.open_connection(*self.target)
        writers.append(target_writer)
        forth, back = random.Random(name + "/forward"), random.Random(name + "/backward")  # noqa: S311
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(reader, target_writer, self.forward, forth))
            group.create_task(self._carry(target_reader, writers[0], self.backward, back))

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        lane: Lane,
        rng: random.Random,
    ) -> None:
        """Carry one way; raises ConnectionError where it is cut, or where either end broke off."""
        met: Conditions | None = None
        left: int | None = None
        try:
            while data := await source.read(PIECE_BYTES):
                while data:
                    if met is not lane.conditions:
                        met = lane.conditions
                        left = rng.randint(*met.cut_after_bytes) if met.cut_after_bytes else None
                    piece, data = data[: met.piece_bytes], data[met.piece_bytes :]
                    if any(met.delay_s):
                        await self._sleep(rng.uniform(*met.delay_s))
                    await lane.passable()
                    sink.write(piece if left is None else piece[:left])
                    await sink.drain()
                    if left is not None and (left := left - len(piece)) <= 0:
                        raise ConnectionResetError("cut, as conditions demand")
        except ConnectionError:
            await lane.passable()  # a reset has to pass, too
            raise
        await lane.passable()
        sink.write_eof()


def _reset(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        if not writer.is_closing():
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
