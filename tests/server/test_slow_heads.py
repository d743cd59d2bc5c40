"""A connection has to bring a request in time, whatever else it brings."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from latentcrdt_server.protocol import BoundedProtocol
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

NEVER_S = 3600
"""uvicorn's own timer for idle connections: here it must not be what ends them."""


class Impatient(BoundedProtocol):
    head_timeout_s = 0.1


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"abcd"})


async def outlast(first: bytes, then: bytes, trickle: bytes = b"") -> None:
    """Send a whole request or nothing, then this, then that byte by byte: until it is closed."""
    loop = asyncio.get_running_loop()
    config = Config(
        app,
        http=Impatient,  # type: ignore[arg-type]
        log_config=None,
        lifespan="off",
        timeout_keep_alive=NEVER_S,
    )
    config.load()
    state: dict[str, Any] = {}
    listening = await loop.create_server(
        lambda: Impatient(config, ServerState(), state), "127.0.0.1", 0
    )
    async with listening, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(first)
        if first:
            await reader.readuntil(b"abcd")
        writer.write(then)
        ended = asyncio.create_task(reader.read())
        for byte in itertools.cycle(trickle):
            if (await asyncio.wait({ended}, timeout=0.01))[0]:
                break
            writer.write(bytes([byte]))
        await asyncio.wait({ended})
        ended.exception()  # it may have been closed while we were still sending
        writer.close()


@pytest.mark.parametrize("first", [b"", REQUEST], ids=["fresh", "used"])
@pytest.mark.parametrize(
    ("then", "trickle"),
    [(b"", b"\r\n"), (b"GET /", b"a"), (b"GET / HTTP/1.1\r\nX: ", b"a")],
    ids=["empty lines", "url", "header"],
)
def test_a_head_that_never_ends_is_given_up_though_bytes_keep_coming(
    first: bytes, then: bytes, trickle: bytes
) -> None:
    asyncio.run(outlast(first, then, trickle))


@pytest.mark.parametrize(
    ("first", "then"), [(b"", b""), (b"", b"G"), (REQUEST, b"\r\n"), (REQUEST, b"G")]
)
def test_a_connection_that_begins_and_stops_is_given_up(first: bytes, then: bytes) -> None:
    asyncio.run(outlast(first, then))
