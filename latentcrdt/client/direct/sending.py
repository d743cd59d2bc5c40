"""Send a request over a socket of our own: its head, and its body from where it lies."""

from __future__ import annotations

import http.client
import selectors
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

import httpx2

from latentcrdt.client.direct.invitation import Word, hear
from latentcrdt.client.pushed_body import FragmentBody
from latentcrdt.client.wire import no_answer

EXPECT = "expect"
"""The header by which a body waits to be invited."""


@contextmanager
def socket_errors(request: httpx2.Request) -> Iterator[None]:
    """Turn what a socket raises into ConnectionFailedError.

    Not to be put around what others do: a receiver's file and a progress bar raise OSError, too.
    """
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise no_answer(request, error) from error


def send_head(connection: http.client.HTTPConnection, request: httpx2.Request) -> None:
    """Send the request line and the headers."""
    target = request.url.raw_path.decode("ascii")
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.raw:
        connection.putheader(name.decode("ascii"), value)
    connection.endheaders()


def send_body(sock: socket, request: httpx2.Request, body: FragmentBody, timeout_s: float) -> bool:
    """Send a body; return False if the server answered, or left, before its end."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        for piece in body:
            with socket_errors(request):
                try:
                    if not _send_piece(sock, piece, selector, timeout_s):
                        return False
                except (ConnectionError, ssl.SSLError):
                    # A server that refuses may close when it has said so.
                    return False
    return True


def _send_piece(
    sock: socket, piece: memoryview, selector: selectors.BaseSelector, timeout_s: float
) -> bool:
    """Send bytes; return False as soon as there is an answer to read."""
    if isinstance(sock, ssl.SSLSocket):
        # What TLS says on its own account is readable, too: an early answer is not seen.
        sock.sendall(piece)
        return True
    while piece:
        ready = selector.select(timeout_s)
        if not ready:
            raise TimeoutError(f"no byte was taken for {timeout_s:g} s")
        # An invitation may come late, and then it is no answer.
        if ready[0][1] & selectors.EVENT_READ and hear(sock) is not Word.INVITED:
            return False
        piece = piece[sock.send(piece) :]
    return True
