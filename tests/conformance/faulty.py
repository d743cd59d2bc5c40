"""The real app on a real socket, where a test can put one fault between it and its callers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from latentcrdt_server.app import create_app
from latentcrdt_server.logs import configure_logs
from latentcrdt_server.settings import Settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latentcrdt.core.encoding import pack_document, unpack_document
from latentcrdt.replication.replica import Replica

START_TIMEOUT_S = 120


@dataclass
class Request:
    """The head of a request; what a fault changes of it reaches the app."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass
class Response:
    """A whole answer of the app; what a fault changes of it reaches the caller."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        if "msgpack" in self.headers["content-type"]:
            return unpack_document(self.body)
        return json.loads(self.body)

    @document.setter
    def document(self, document: Any) -> None:
        packs = "msgpack" in self.headers["content-type"]
        self.replace_body(pack_document(document) if packs else json.dumps(document).encode())

    def replace_body(self, body: bytes) -> None:
        self.body = body
        self.headers["content-length"] = str(len(body))

    def become(self, status: int, document: Any, media_type: str = "application/json") -> None:
        self.status = status
        self.headers["content-type"] = media_type
        self.document = document

    @property
    def code(self) -> str | None:
        """The code of the problem, if it is one."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.body)["code"] if is_problem and self.body else None


class FaultyServer:
    """A server that is right until a test says otherwise."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.url = ""
        self.patch: pytest.MonkeyPatch
        """Undone after the test, as the hooks are."""
        self.before: Callable[[Request], None] | None = None
        self.after: Callable[[Request, Response], None] | None = None
        self.failures: list[str] = []
        """Requests that the app did not survive: a fault is to be wrong, not to break."""

    @property
    def replica(self) -> Replica:
        replica: Replica = self._app.state.service.replica
        return replica

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _request_of(scope)
        if self.before is not None:
            self.before(request)
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(_scope_of(request, scope), receive, keep)
        headers = {k.decode().lower(): v.decode() for k, v in messages[0]["headers"]}
        body = b"".join(bytes(message.get("body", b"")) for message in messages[1:])
        response = Response(messages[0]["status"], headers, body)
        if response.status >= 500:
            self.failures.append(f"{request.method} {request.path}: {body.decode()}")
        if self.after is not None:
            self.after(request, response)
        raw = [(k.encode(), v.encode()) for k, v in response.headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": response.body})


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        """Set once it listens, or cannot."""

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()


@contextmanager
def serving(data_dir: Path) -> Iterator[FaultyServer]:
    configure_logs("error")
    faulty = FaultyServer(create_app(Settings(data_dir=data_dir, port=0)))
    app: ASGIApp = faulty
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, access_log=False)
    server = _Announcing(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.ready.wait(START_TIMEOUT_S)
        assert server.started
        port = server.servers[0].sockets[0].getsockname()[1]
        faulty.url = f"http://127.0.0.1:{port}"
        yield faulty
    finally:
        server.should_exit = True
        thread.join()


def _request_of(scope: Scope) -> Request:
    headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
    return Request(scope["method"], scope["path"], scope["query_string"].decode(), headers)


def _scope_of(request: Request, scope: Scope) -> Scope:
    raw = [(k.encode(), v.encode()) for k, v in request.headers.items()]
    changed = {"path": request.path, "query_string": request.query.encode(), "headers": raw}
    return {**scope, **changed}
