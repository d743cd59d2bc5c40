"""Where a request ends is never a matter of opinion: what two readers could read in two ways ends
the connection, so that nothing in a body is ever taken for a request (smuggling)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from latentcrdt_server.child_process import ServerProcess

from tests.server.wire import Wire

HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: hidden\r\n\r\n"

HEAD = (
    b"POST /v1/fragments/missing HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that does not wait long for what does not come."""
    data = tmp_path_factory.mktemp("brisk") / "data"
    with ServerProcess(data, body_timeout_s=1, keep_alive_s=1) as process:
        yield process


def statuses(server: ServerProcess, sent: bytes) -> list[int]:
    """Send this, and a request that is hidden in it or comes after it; return all statuses."""
    with Wire(server) as wire:
        wire.send(sent + HIDDEN)
        received = wire.read_to_end()
    assert received.startswith(b"HTTP/1.1 ")
    return [int(answer[:3]) for answer in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 0",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: 0x5",
        b"Content-Length: 1_0",
        b"Content-Length: ",
        b"Content-Length : 5",
        b"Content-Length: 18446744073709551621",
        b"X: a\r\n Content-Length: 5",
        b"X: a\rContent-Length: 5",
        b"X: a\x00b",
        b"No colon",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_ends_the_connection(
    brisk: ServerProcess, lines: bytes
) -> None:
    assert statuses(brisk, HEAD + lines + b"\r\n\r\n0\r\n\r\n") == [400]


def test_chunks_are_not_for_a_version_without_them(brisk: ServerProcess) -> None:
    old = CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(brisk, old + b"0\r\n\r\n") == [400]


@pytest.mark.parametrize(
    "body",
    [
        b"0\n\n",
        b" 0\r\n\r\n",
        b"-1\r\n\r\n",
        b"0x0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"3\r\nabcX0\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_chunks_that_could_be_read_in_two_ways_end_the_connection(
    brisk: ServerProcess, body: bytes
) -> None:
    assert statuses(brisk, CHUNKED + body) == [400]


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b'Content-Length: 11\r\n\r\n{"ids": []}',
        CHUNKED + b'b\r\n{"ids": []}\r\n0\r\n\r\n',
        CHUNKED + b'b;extension=x\r\n{"ids": []}\r\n0\r\nTrailer: x\r\n\r\n',
        CHUNKED.replace(b": chunked", b":\tCHUNKED") + b'b\r\n{"ids": []}\r\n0\r\n\r\n',
    ],
)
def test_a_request_that_ends_where_all_agree_is_followed_by_the_next(
    brisk: ServerProcess, sent: bytes
) -> None:
    assert statuses(brisk, sent) == [200, 200]


@pytest.mark.parametrize("path", [b"/v1/fragments/missing", b"/v1/states/s/fragments"])
def test_a_body_is_never_taken_for_a_request(brisk: ServerProcess, path: bytes) -> None:
    """The second is refused before its body is read."""
    head = HEAD.replace(b"/v1/fragments/missing", path).replace(b"json", b"pdf")
    assert statuses(brisk, head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN)) == [415]


def test_a_question_that_trickles_is_given_up(brisk: ServerProcess) -> None:
    with Wire(brisk) as wire:
        wire.send(HEAD + b"Content-Length: 1000\r\n\r\n")
        while not wire.readable(within_s=0.1):
            wire.send(b" ")
        assert wire.answer().status == 408
