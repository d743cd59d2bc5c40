"""What keeps a server from starting is told in one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from latentcrdt_server.child_process import ServerProcess

SECRET = "hunter2"


def start(command: list[str], **settings: object) -> tuple[int, list[str]]:
    """Start a server that cannot; return its exit status and the lines on stderr."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LATENTCRDT_")}
    chosen = {f"LATENTCRDT_{k.upper()}": str(v) for k, v in settings.items()}
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=inherited | {"LATENTCRDT_PORT": "0"} | chosen,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr.strip().splitlines()


@pytest.mark.parametrize("command", [["latentcrdt_server"], ["latentcrdt", "serve"]])
def test_a_data_directory_in_use_is_one_line(server: ServerProcess, command: list[str]) -> None:
    assert server.url
    status, lines = start(command, data_dir=server.log_path.with_suffix(""))
    assert status == 1
    (line,) = lines
    assert line.startswith("error [store_failed] ")
    assert f"process {server.pid} holds" in line


def test_a_data_directory_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    status, (line,) = start(["latentcrdt_server"], data_dir=tmp_path / "data")
    assert status == 1
    assert line.startswith("error [store_failed] ")


def test_a_bad_token_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{SECRET}\n")
    choices = {"data_dir": tmp_path / "data", "token_file": tmp_path / "tokens"}
    status, (line,) = start(["latentcrdt_server"], **choices)
    assert status == 1
    assert line.startswith("error [invalid_request] token file ")
    assert "line 1" in line
    assert SECRET not in line


def test_an_invalid_setting_is_one_line(tmp_path: Path) -> None:
    status, (line,) = start(["latentcrdt_server"], data_dir=tmp_path, max_streams="none")
    assert status == 2
    assert line.startswith("error LATENTCRDT_MAX_STREAMS: ")


def test_a_port_in_use_is_one_line_of_the_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        choices = {"data_dir": tmp_path / "data", "port": port, "log_level": "error"}
        status, (line,) = start(["latentcrdt_server"], **choices)
    assert status == 1
    assert "address already in use" in line
