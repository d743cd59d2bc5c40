"""A server in a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.errors import ConnectionFailedError

START_TIMEOUT_S = 120.0
"""Loading torch and proving the engine takes seconds; a busy machine several times that."""

STOP_TIMEOUT_S = 30.0
"""A server that has not drained by then is killed."""

READY = "latentcrdt listening on "
"""What the server prints on stdout, followed by its address, when it can be asked."""


class ServerProcess:
    """``python -m latentcrdt_server``, started here and stopped when the block is left.

    Several may be started before the first is waited for. Its log is ``DIR.log`` beside its data.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """Start it; ``settings`` are further LATENTCRDT_* variables."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LATENTCRDT_")}
        chosen = {
            "LATENTCRDT_HOST": "127.0.0.1",
            "LATENTCRDT_PORT": "0",
            "LATENTCRDT_DATA_DIR": str(data_dir),
        }
        self.log = data_dir.with_name(data_dir.name + ".log")
        self._url: str | None = None
        with self.log.open("wb") as log:
            # Its own session: Ctrl-C reaches us alone, and we stop it in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "latentcrdt_server"],
                env={**inherited, **chosen, **(settings or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Its address; waits until it can be asked. ConnectionFailedError if it ends before."""
        if self._url is None:
            self._url = self._wait()
        return self._url

    def stop(self) -> int:
        """Ask it to finish what it is doing and end; return its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
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

    def _wait(self) -> str:
        assert self._process.stdout is not None
        alarm = threading.Timer(START_TIMEOUT_S, self._process.kill)
        alarm.start()
        try:
            for line in self._process.stdout:
                if line.startswith(READY):
                    return line.removeprefix(READY).strip()
        finally:
            alarm.cancel()
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise ConnectionFailedError(f"the server did not start: {''.join(last)[-500:]}")
