from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest
import stamina

from latentcrdt import AsyncClient, Client
from tests.client.scripted_server import ScriptedServer, serving


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    """Retries happen, without their backoff: stamina's own testing mode, four attempts."""
    with stamina.set_testing(True, attempts=4):
        yield


def flows_ended() -> None:
    """Wait for the threads of flows, those that a call has left behind included."""
    for thread in threading.enumerate():
        if thread.name.startswith("latentcrdt-flow"):
            thread.join(20)


class Driven:
    """An AsyncClient behind the same blocking face as Client, so that one test states both."""

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        assert inspect.iscoroutinefunction(method)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


class Indirect(Client):
    """A Client as it is behind a proxy: everything goes through the HTTP library."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        assert self._direct is not None
        self._direct = None


@pytest.fixture(
    params=[Client, Indirect, Driven], ids=["blocking", "blocking-indirect", "asynchronous"]
)
def make_client(request: pytest.FixtureRequest) -> type[Client]:
    """Any client, as a class that takes an address."""
    return request.param
