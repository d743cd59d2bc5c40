from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from latentcrdt_server.child_process import ServerProcess
from typer.testing import CliRunner, Result

from latentcrdt.cli.app import app


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process.url


@pytest.fixture
def run(server) -> Callable[..., Result]:
    """Run a subcommand in this process, against the test's server."""
    return lambda *args: CliRunner().invoke(
        app, [str(arg) for arg in args], env={"LATENTCRDT_SERVER": server, "COLUMNS": "200"}
    )


@pytest.fixture
def name() -> str:
    return f"s-{uuid4().hex}"
