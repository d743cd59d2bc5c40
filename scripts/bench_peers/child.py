"""Other programs' servers, as child processes that are ready when they say so."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

START_TIMEOUT_S = 120.0
"""One of them imports torch, on a machine that may be busy."""

STOP_TIMEOUT_S = 10.0
"""There is nothing that they would have to save."""


def free_port() -> int:
    """Return a port that was free just now, for servers that cannot say which they took."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def child(
    command: Sequence[object], ready: str, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """Run a server until the block is left; yield its pid and the line that contains ``ready``."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    alarm = threading.Timer(START_TIMEOUT_S, process.kill)
    alarm.start()
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if ready in line:
                break
        else:
            raise RuntimeError(f"{command[0]} did not start:\n{''.join(said[-20:])}")
        alarm.cancel()
        # A server whose words nobody reads stops when the pipe is full.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process.pid, said[-1]
    finally:
        alarm.cancel()
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
