"""The command as a person runs it: a process, its streams and its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
from latentcrdt_server.child_process import ServerProcess
from latentcrdt_server.process import READY

from latentcrdt import Client
from latentcrdt.cli.output import printable
from latentcrdt.errors import ConnectionFailedError
from latentcrdt.testing.fragments import make_fragment

COMMAND = [sys.executable, "-m", "latentcrdt"]


def run(*args, **env):
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


def test_help_names_every_subcommand_and_loads_quickly():
    result = run("--help", COLUMNS="100")
    assert result.returncode == 0
    for name in ("serve", "demo", "push", "ls", "render", "fetch", "verify", "export"):
        assert f" {name} " in result.stdout
        assert run(name, "--help").returncode == 0


def test_the_version_is_that_of_the_package():
    assert run("--version").stdout == f"latentcrdt {version('latentcrdt')}\n"


def test_no_server_is_one_line_on_stderr():
    result = run("ls", "--server", "http://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error [connection_failed] GET http://127.0.0.1:9/v1/states")


def test_serve_listens_where_it_says_and_stops_when_asked(tmp_path):
    command = [*COMMAND, "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        line = process.stdout.readline()
        assert line.startswith(READY)
        with Client(line.removeprefix(READY).strip()) as client:
            client.push("s", make_fragment(1))
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert (tmp_path / "data").is_dir()


def test_serve_refuses_a_wrong_setting_as_wrong_usage(tmp_path):
    result = run("serve", "--data", tmp_path, LATENTCRDT_LOG_LEVEL="loud")
    assert result.returncode == 2
    assert "LATENTCRDT_LOG_LEVEL" in result.stderr


def test_a_missing_extra_is_named(tmp_path):
    """A package that cannot be imported, put before the real one."""
    (tmp_path / "latentcrdt_server").mkdir()
    (tmp_path / "latentcrdt_server" / "__init__.py").write_text("import fastapi_is_not_here\n")
    result = run("serve", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "latentcrdt[server]" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_does_not_start_is_reported_with_its_reason(tmp_path):
    with (
        ServerProcess(tmp_path / "data", log_level="loud") as server,
        pytest.raises(ConnectionFailedError, match="did not start"),
    ):
        _ = server.url


def test_a_server_is_not_told_the_settings_of_its_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCRDT_TOKEN_FILE", str(tmp_path / "no such file"))
    with ServerProcess(tmp_path / "data") as server, Client(server.url) as client:
        assert client.states() == []
        assert server.stop() == 0


def test_control_characters_never_reach_the_terminal():
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
