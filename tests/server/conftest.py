"""One real server process for all tests here, and fragments that no other test has pushed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment

_seeds = itertools.count(10_000)

FreshFragment = Callable[..., Fragment]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process


@pytest.fixture(scope="session")
def tight_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with limits that a test can reach."""
    data = tmp_path_factory.mktemp("tight") / "data"
    limits = {"max_fragment_bytes": 100_000, "max_inflight_bytes": 150_000, "body_timeout_s": 0.5}
    with ServerProcess(data, **limits) as process:
        yield process


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def tight(tight_server: ServerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=tight_server.url, timeout=60) as client:
        yield client


@pytest.fixture
def fresh() -> FreshFragment:
    """Make fragments of content that no other test has made."""

    def make(**choices: Any) -> Fragment:
        return make_fragment(next(_seeds), **choices)

    return make


@pytest.fixture
def state(request: pytest.FixtureRequest) -> str:
    """Return a state name that no other test uses."""
    return f"s{next(_seeds)}-{request.node.originalname[:40].lower()}".replace("_", "-")


@pytest.fixture
def data_dir(server: ServerProcess) -> Path:
    return server.log_path.with_suffix("")
