"""A real server in a process of its own: what tests, the demo and benchmarks talk to."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.errors import ConnectionFailedError

START_TIMEOUT_S = 60.0
"""A cold start loads torch from disk; on a busy machine that takes a while."""

STOP_TIMEOUT_S = 60.0
"""For the answers under way to finish."""

READY = "latentcrdt listening on "


class ServerProcess:
    """``python -m latentcrdt_server`` on a free loopback port, started at once.

    Its log is appended to ``<data_dir>.log``.
    """

    def __init__(self, data_dir: Path, **env: str | float | Path) -> None:
        """``env`` adds ``LATENTCRDT_<NAME>`` variables: ``max_fragment_bytes=1000`` and so on.

        Raises ConnectionFailedError, with the end of the log, if the server does not come up.
        """
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        settings = {"data_dir": data_dir, "host": "127.0.0.1", "port": 0, **env}
        variables = {f"LATENTCRDT_{name.upper()}": str(value) for name, value in settings.items()}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # a fixed command
                [sys.executable, "-m", "latentcrdt_server"],
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.url = self._wait_until_ready()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for tests that write their own bytes."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def stop(self) -> int:
        """Send SIGTERM, wait for the answers under way, return the exit status."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """Send SIGKILL: what a crash looks like."""
        self._process.kill()
        self.wait()

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self._process.terminate()

    def wait(self) -> int:
        """Wait for the process to end; return its exit status."""
        status = self._process.wait(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()

    def _wait_until_ready(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline().decode() if ready else ""
        if not line.startswith(READY):
            self.kill()
            end = self.log_path.read_text(errors="replace")[-2000:]
            raise ConnectionFailedError(f"the server did not come up; its log ends with:\n{end}")
        return line.removeprefix(READY).strip()
