"""What both clients agree on before the first byte: address, headers, timeouts, retries, errors."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from latentcrdt.client.answers import Answer
from latentcrdt.client.calls import Call
from latentcrdt.client.flows.steps import Download
from latentcrdt.client.gate import Gate
from latentcrdt.client.intake import DocumentIntake, Intake, StreamIntake
from latentcrdt.client.limits import Limits
from latentcrdt.client.loopback import is_loopback
from latentcrdt.errors import ConnectionFailedError, InvalidRequestError

DEFAULT_URL = "http://127.0.0.1:8000"
"""Where ``latentcrdt serve`` listens unless told otherwise."""

TOKEN_VARIABLE = "LATENTCRDT_TOKEN"  # noqa: S105 - the name of the variable, not a token
"""Environment variable that holds the bearer token when none is given."""

DEFAULT_MAX_BYTES = 8 * 2**30
"""Memory that one fragment or render may take: 64k tokens of an 8B model in bf16."""

DEFAULT_CONNECTIONS = 4
"""Over a network, where each connection is bounded by windows and losses of its own."""

RETRY_WAITS: dict[str, Any] = {
    "timeout": None,  # attempts bound it: a large download may break late and still be resumed
    "wait_initial": 0.1,
    "wait_max": 5.0,
    "wait_jitter": 0.2,
}
"""Backoff between attempts, seconds, where the server names no time itself."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a client is told when it is made."""

    base_url: str = DEFAULT_URL
    token: str | None = None
    """Bearer token; None: the environment's LATENTCRDT_TOKEN, if any."""
    timeout_s: float = 60.0
    """How long to wait for the other end to send or take the next bytes."""
    connect_timeout_s: float = 5.0
    """How long to wait for a connection."""
    attempts: int = 4
    """How often a call is tried; 1: never again."""
    max_fragment_bytes: int = DEFAULT_MAX_BYTES
    max_render_bytes: int = DEFAULT_MAX_BYTES
    connections: int | None = None
    """How many one call may use at once; None: 1 at a loopback address, otherwise 4."""

    def __post_init__(self) -> None:
        if self.connections is not None and self.connections < 1:
            raise InvalidRequestError(
                f"connections: expected at least 1, got {self.connections!r:.40}"
            )

    @property
    def num_connections(self) -> int:
        """How many connections one call may use at once.

        Within one machine the processors are the limit, and several bring next to nothing.
        """
        if self.connections is not None:
            return self.connections
        return 1 if is_loopback(httpx2.URL(self.base_url).host) else DEFAULT_CONNECTIONS

    @property
    def limits(self) -> Limits:
        """The bounds on memory and connections."""
        return Limits(self.max_fragment_bytes, self.max_render_bytes, self.num_connections)

    def http_options(self) -> dict[str, Any]:
        """Return the arguments of an httpx2 client; InvalidRequestError for a wrong address."""
        try:
            url = httpx2.URL(self.base_url)
        except httpx2.InvalidURL as error:
            raise InvalidRequestError(f"server address {self.base_url!r:.200}: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidRequestError(
                f"server address: expected http://HOST:PORT or https://HOST, "
                f"got {self.base_url!r:.200}"
            )
        # Bodies are tensors: compressing them costs time, and a small bomb could fill the memory.
        headers = {"accept-encoding": "identity", "user-agent": "latentcrdt"}
        token = self.token or os.environ.get(TOKEN_VARIABLE)
        if token:
            if not (token.isascii() and token.isprintable()):
                raise InvalidRequestError("token: expected printable ASCII text")
            headers["authorization"] = f"Bearer {token}"
        return {
            "base_url": url,
            "headers": headers,
            "timeout": httpx2.Timeout(self.timeout_s, connect=self.connect_timeout_s),
            "follow_redirects": False,
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """The request of one step, and the intake of its answers over all attempts."""

    step: Call[Any] | Download[Any]
    intake: Intake[Any]
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Names the call in the server's log; the same for all attempts, so that they show together."""

    @classmethod
    def of(cls, step: Call[Any] | Download[Any], gate: Gate) -> Exchange:
        """Return the exchange that performs a step, to no effect once the gate is closed."""
        if isinstance(step, Call):
            return cls(step, DocumentIntake(step.read))
        return cls(step, StreamIntake(step.make_receiver, step.wanted, gate))

    def request_options(self) -> dict[str, Any]:
        """Return the arguments of ``build_request`` for the next attempt, apart from the body."""
        step = self.step
        if isinstance(step, Call):
            method, headers = step.method, step.headers
        else:
            method, headers = "GET", {"accept": step.accept}
        return {
            "method": method,
            "url": step.path,
            "params": step.params,
            "headers": {**headers, **self.intake.headers(), "x-request-id": self.request_id},
        }


def head_of(response: httpx2.Response) -> Answer:
    """Return the status and headers of an answer."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers)


def build_request(
    http: httpx2.Client | httpx2.AsyncClient, exchange: Exchange, content: Any
) -> httpx2.Request:
    """Return the request of one attempt; InvalidRequestError for what no URL can spell."""
    try:
        return http.build_request(**exchange.request_options(), content=content)
    except httpx2.InvalidURL as error:
        raise InvalidRequestError(f"expected a request that fits a URL: {error}") from error


@contextmanager
def connection_errors(request: httpx2.Request) -> Iterator[None]:
    """Turn what the HTTP library raises into ConnectionFailedError."""
    try:
        yield
    except httpx2.TransportError as error:
        raise no_answer(request, error) from error


def no_answer(request: httpx2.Request, error: Exception) -> ConnectionFailedError:
    """Return the error for a request whose answer did not come, or not whole."""
    url = request.url
    # Spelled from its parts: an address may hold a password, and this is printed.
    asked = f"{request.method} {url.scheme}://{url.netloc.decode()}{url.path}"
    reason = str(error) or type(error).__name__
    return ConnectionFailedError(f"{asked}: no answer: {reason}", url=asked)
