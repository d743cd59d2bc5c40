"""One process of an object service, and where to find its program and a port for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2

START_TIMEOUT_S = 60.0


class ServiceProcess:
    """A program that serves until it is killed; its output goes to a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        # Keys that are meant for clients would be taken for those of the one user allowed in.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        self._log = log

    def wait_for(self, ask: Callable[[], httpx2.Response]) -> None:
        """Ask again and again, until the answer is a good one."""
        deadline = time.monotonic() + START_TIMEOUT_S
        pause = threading.Event()
        while True:
            try:
                answer = ask()
            except httpx2.TransportError as error:
                last = str(error)
            else:
                if answer.is_success:
                    return
                last = f"{answer.status_code} {answer.text}"
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{last}; {self._log}:\n{self._log.read_text()[-2000:]}")
            pause.wait(0.05)

    def kill(self) -> None:
        """Send SIGKILL: what a crash looks like."""
        self._process.kill()
        self._process.wait()


def program(name: str) -> str:
    """Return the path of a program that a development dependency installs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which(name, path=path)
    assert found is not None, f"{name}: expected it installed with the dev extra"
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that no one listens on, all different."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
