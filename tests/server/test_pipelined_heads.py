"""The deadline of a head, while an answer to the request before it is under way."""

from __future__ import annotations

import asyncio
from typing import Any

from latentcrdt_server.protocol import BoundedProtocol
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState


class Impatient(BoundedProtocol):
    head_timeout_s = 0.1


async def exchange(next_head: bytes) -> tuple[bytes, float]:
    """Send this in the middle of an answer that takes a while; return all bytes, and how long."""
    finish = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await finish.wait()
        await send({"type": "http.response.body", "body": b"cd"})

    loop = asyncio.get_running_loop()
    config = Config(app, http=Impatient, log_config=None, lifespan="off")  # type: ignore[arg-type]
    config.load()
    state: dict[str, Any] = {}
    listening = await loop.create_server(
        lambda: Impatient(config, ServerState(), state), "127.0.0.1", 0
    )
    async with listening:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = await reader.readuntil(b"\r\n\r\nab")
        writer.write(next_head)
        loop.call_later(0.4, finish.set)
        began = loop.time()
        async with asyncio.timeout(10):
            received += await reader.read()
        writer.close()
    return received, loop.time() - began


def test_a_part_of_the_next_head_does_not_cut_the_answer_under_way() -> None:
    received, seconds = asyncio.run(exchange(b"GET / HT"))
    assert received.endswith(b"\r\n\r\nabcd")
    # Once the answer is complete, the head is due like any other.
    assert 0.4 <= seconds < 5


def test_a_next_head_that_is_too_large_is_not_refused_in_the_middle_of_an_answer() -> None:
    received, _ = asyncio.run(exchange(b"GET /" + b"a" * 70_000))
    assert received.endswith(b"\r\n\r\nab")
