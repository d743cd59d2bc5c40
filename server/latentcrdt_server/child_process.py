"""A server in a process of its own, on a free port: for the demo, tests and benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.errors import ConnectionFailedError
from latentcrdt_server.process import READY

START_TIMEOUT_S = 120.0
"""A cold start compiles or loads the render engine; on a busy machine that takes a while."""

STOP_TIMEOUT_S = 60.0
"""For the answers under way to finish; a server that has not drained by then is killed."""


class ServerProcess:
    """``python -m latentcrdt_server`` on loopback, started here and stopped when the block is left.

    Several may be started before the first is waited for. Its log is ``<data_dir>.log``.
    """

    def __init__(
        self, data_dir: Path, *, within: Sequence[str] = (), **settings: str | float | Path
    ) -> None:
        """Start it; ``max_fragment_bytes=1000`` sets LATENTCRDT_MAX_FRAGMENT_BYTES, and so on.

        ``within`` is a command that becomes the server where it ought to run, ``nsenter`` say.
        """
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        chosen = {"data_dir": data_dir, "host": "127.0.0.1", "port": 0, **settings}
        # The caller's own LATENTCRDT_* are meant for another server.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LATENTCRDT_")}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # a fixed command
                [*within, sys.executable, "-m", "latentcrdt_server"],
                env=inherited | {f"LATENTCRDT_{k.upper()}": str(v) for k, v in chosen.items()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop it in order
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @cached_property
    def url(self) -> str:
        """Its address; waits until it can be asked.

        Raises ConnectionFailedError, with the end of its log, if it ends before that.
        """
        assert self._process.stdout is not None
        alarm = threading.Timer(START_TIMEOUT_S, self._process.kill)
        alarm.start()
        try:
            for line in self._process.stdout:
                if line.startswith(READY):
                    return line.removeprefix(READY).strip()
        finally:
            alarm.cancel()
        end = self.log_path.read_text(errors="replace").strip()[-2000:]
        raise ConnectionFailedError(f"the server did not start; its log ends with:\n{end}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for whoever writes its own bytes."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def stop(self) -> int:
        """Ask it to finish what it is doing and end; return its exit status."""
        self.terminate()
        return self.wait()

    def terminate(self) -> None:
        """Send SIGTERM and return at once; nothing if it has ended already."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL: what a crash looks like."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for it to end, in the end by force; return its exit status."""
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
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
        self.stop()
