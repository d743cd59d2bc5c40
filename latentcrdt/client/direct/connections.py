"""Large bodies over connections of our own: sent from and received into the memory they end in.

The HTTP library copies what it sends and receives several times, on one thread. Here a body is
handed to the socket where it lies, and an answer is read straight into the memory of its result and
verified piece by piece, while it is in the processor's cache. Requests, their order, retries and
errors are those of the other way; proxies and addresses that hold a password are left to it. A body
whose head expects an invitation waits for one, unless it turns out that this server gives none.
"""

from __future__ import annotations

import http
import http.client
import selectors
from collections import deque
from contextlib import suppress
from socket import socket
from urllib.request import getproxies, proxy_bypass

import httpx2

from latentcrdt.client.answers import Answer
from latentcrdt.client.direct.invitation import Word, hear
from latentcrdt.client.direct.sending import EXPECT, send_body, send_head, socket_errors
from latentcrdt.client.intake import Intake
from latentcrdt.client.pushed_body import FragmentBody
from latentcrdt.client.wire import Settings

SCRATCH_BYTES = 256 * 2**10
"""Read at a time where the result's memory is not known, or is none: heads, documents, files."""

PIECE_BYTES = 2**20
"""Read and verified at a time: it stays in the cache, and the socket holds what comes meanwhile."""

MAX_IDLE = 8
"""Connections kept for later; more threads than this at once connect anew."""


def is_reached_directly(url: httpx2.URL) -> bool:
    """Return whether no proxy stands before an address, and no password inside it."""
    proxies = getproxies()
    is_proxied = url.scheme in proxies or "all" in proxies
    return not url.userinfo and (not is_proxied or bool(proxy_bypass(url.host)))


class DirectConnections:
    """Connections to one server; may be shared by threads."""

    def __init__(self, url: httpx2.URL, settings: Settings) -> None:
        """``url`` is the server's, and reached directly."""
        self._url = url
        self._settings = settings
        self._tls = httpx2.create_ssl_context() if url.scheme == "https" else None
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._is_closed = False
        self.is_inviting = self._tls is None
        """Whether to ask before a body is sent: not where an early answer is not seen (TLS), nor
        once this server has kept silent or refused to be asked."""

    def exchange(
        self, request: httpx2.Request, body: FragmentBody | None, intake: Intake[object]
    ) -> None:
        """Send a request and hand its answer to the intake; ConnectionFailedError."""
        if not self.is_inviting:
            request.headers.pop(EXPECT, None)
        with socket_errors(request):
            connection = self._take()
        try:
            sock: socket = connection.sock
            with socket_errors(request):
                send_head(connection, request)
            is_sent = body is None or (
                self._is_wanted(sock, request)
                and send_body(sock, request, body, self._settings.timeout_s)
            )
            with socket_errors(request):
                response = connection.getresponse()
            if response.status == http.HTTPStatus.EXPECTATION_FAILED and EXPECT in request.headers:
                connection.close()
                self.is_inviting = False
                self.exchange(request, body, intake)
                return
            try:
                intake.begin(_head_of(response))
                _receive(response, request, intake)
            except BaseException:
                response.close()  # where a connection ends with its answer, this holds the socket
                raise
        except BaseException:
            connection.close()
            raise
        # After half a body, the next bytes would be read as the rest of it.
        is_reusable = is_sent and not response.will_close
        if is_reusable and not self._is_closed and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that are not in use, and keep none that still is."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> http.client.HTTPConnection:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                # Nothing was asked for: whatever there is to read, the end or more, is no answer.
                if not _is_readable(connection.sock):
                    return connection
                connection.close()
        return self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.raw_host.decode("ascii"), self._url.port
        timeout_s = self._settings.connect_timeout_s
        connection = (
            http.client.HTTPConnection(host, port or 80, timeout=timeout_s)
            if self._tls is None
            else http.client.HTTPSConnection(
                host, port or 443, timeout=timeout_s, context=self._tls
            )
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()  # of a handshake that failed, the socket is left
            raise
        connection.sock.settimeout(self._settings.timeout_s)
        return connection

    def _is_wanted(self, sock: socket, request: httpx2.Request) -> bool:
        """Return whether to send the body that a head announced."""
        if EXPECT not in request.headers:
            return True
        with socket_errors(request):
            try:
                word = hear(sock)
            except ConnectionError:
                return False  # whoever reads the answer will say so
        if word is Word.SILENT:
            self.is_inviting = False
        return word is not Word.ANSWERED


def _receive(
    response: http.client.HTTPResponse, request: httpx2.Request, intake: Intake[object]
) -> None:
    """Feed an answer's body to the intake, piece by piece."""
    while True:
        room = intake.room()[:PIECE_BYTES]
        with socket_errors(request):
            data = room[: response.readinto(room)] if room else response.read1(SCRATCH_BYTES)
        if not data:
            break
        intake.feed(data)
    with socket_errors(request):
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.read()  # nothing; but only now the connection may carry the next request


def _head_of(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers)


def _is_readable(sock: socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
