from __future__ import annotations

from collections.abc import Iterator

import pytest
from latentcrdt_server.child_process import ServerProcess

from tests.conformance.faulty import FaultyServer, serving


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("conformance") / "data") as process:
        yield process.url


@pytest.fixture(scope="session")
def _one_faulty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    with serving(tmp_path_factory.mktemp("faulty") / "data") as server:
        yield server


@pytest.fixture
def faulty(
    _one_faulty_server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyServer]:
    """A server without a fault: a test puts one in, and it is out again afterwards."""
    server = _one_faulty_server
    server.patch = monkeypatch
    server.failures.clear()
    yield server
    server.before = server.after = None
