"""Run what a compose file says as processes of this machine: the same scripts, on free ports.

No container engine runs here. What differs is what Docker itself would do: host names and ports
are rewritten to loopback, ``/data`` to a directory, ``/run/secrets`` to another; users, limits and
file systems are as they are here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.docker.files import DOCKER, DOCKERFILES, SERVER_IMAGE, Dockerfile, compose
from tests.object_store.service import free_ports, program

START_TIMEOUT_S = 150.0
"""Several servers at once, each of which loads or compiles the render engine."""


class Stack:
    """The services of a compose file that run our images; started in order, stopped in reverse."""

    def __init__(self, path: Path, directory: Path, installed: Path, secrets: Path) -> None:
        """``installed``: where docker/install.sh has put the server."""
        found = compose(path)["services"]
        self._services = {n: s for n, s in found.items() if s["image"] in DOCKERFILES}
        self._directory = directory
        self._installed = installed
        self._secrets = secrets
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        asked = sorted(set(self._addresses()))
        self._ports = dict(zip(asked, free_ports(len(asked)), strict=True))

    def url(self, name: str) -> str:
        """Return a server's address."""
        return f"http://127.0.0.1:{self._ports[name, '8000']}"

    def start(self) -> None:
        """Start every service; return when every server's own health check says so."""
        waiting = dict(self._services)
        while waiting:
            name = next(n for n, s in waiting.items() if not set(_needs(s)) & waiting.keys())
            del waiting[name]
            (self._directory / name).mkdir()
            self.start_one(name)
        for name in self.servers():
            self._wait(name, lambda name=name: self.health(name) == 0)

    def start_one(self, name: str) -> None:
        """Start a service on what it left; one that only has something to do has done it then."""
        service, data = self._services[name], self._directory / name
        dockerfile = Dockerfile.read(DOCKERFILES[service["image"]])
        (script,) = service.get("entrypoint", dockerfile.command("ENTRYPOINT"))
        command = service.get("command") or dockerfile.command("CMD")
        local = [DOCKER / Path(script).name, *(self._local(c, name) for c in command)]
        log = self._directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                local,
                env=self._environment(name, service),
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes[name] = process
        if service.get("restart") == "no":
            self._wait(name, lambda: process.poll() == 0)

    def servers(self) -> list[str]:
        """Return the names of the services that run the server's image."""
        return [n for n, s in self._services.items() if s["image"] == SERVER_IMAGE]

    def health(self, name: str) -> int:
        """Return the status of a server's health check, run as the image runs it."""
        python, script = Dockerfile.read("Dockerfile").command("HEALTHCHECK")
        checked = subprocess.run(
            [python, DOCKER / Path(script).name],
            env=self._environment(name, self._services[name]),
            capture_output=True,
            check=False,
        )
        return checked.returncode

    def stop(self, name: str) -> int:
        """Send SIGTERM, as Docker does, and return the status."""
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(60)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def _environment(self, name: str, service: dict[str, Any]) -> dict[str, str]:
        image = Dockerfile.read(DOCKERFILES[service["image"]]).environment
        said = image | {k: str(v) for k, v in service.get("environment", {}).items()}
        local = {k: self._local(v, name) for k, v in said.items()}
        paths = [self._installed / "bin", Path(sys.executable).parent, Path(program("weed")).parent]
        local["PATH"] = os.pathsep.join([*map(str, paths), os.environ["PATH"]])
        local["SECRETS_DIR"] = str(self._secrets)
        if service["image"] == SERVER_IMAGE:
            local["LATENTCRDT_HOST"] = "127.0.0.1"
            local["LATENTCRDT_PORT"] = str(self._ports[name, "8000"])
            # Each would compile the engine for itself, for minutes.
            local["NUMBA_CACHE_DIR"] = str(self._installed / "numba")
        return local

    def _addresses(self) -> list[tuple[str, str]]:
        found = [(name, "8000") for name in self.servers()]
        for name, service in self._services.items():
            options = " ".join(service.get("command", []))
            found += [(name, port) for port in re.findall(r"-port(?:\.grpc)?=([1-9]\d*)", options)]
        return found

    def _local(self, text: str, name: str) -> str:
        """Rewrite one argument, or the value of one variable."""
        if said := re.fullmatch(r"(-port(?:\.grpc)?=)([1-9]\d*)", text):
            return f"{said[1]}{self._ports[name, said[2]]}"
        if re.fullmatch(r"-ip(\.bind)?=.*", text):
            return text.partition("=")[0] + "=127.0.0.1"

        def address(found: re.Match[str]) -> str:
            ports = [str(self._ports[found[1], p]) for p in found[2].split(".")]
            return "127.0.0.1:" + ".".join(ports)

        names = "|".join(map(re.escape, self._services))
        text = re.sub(rf"\b({names}):(\d+(?:\.\d+)?)", address, text)
        text = text.replace("/run/secrets", str(self._secrets))
        return re.sub(r"(?<![\w/])/data\b", str(self._directory / name), text)

    def _wait(self, name: str, holds: Any) -> None:
        deadline, pause = time.monotonic() + START_TIMEOUT_S, threading.Event()
        while not holds():
            ended = self._processes[name].poll()
            if ended not in (None, 0) or time.monotonic() > deadline:
                log = (self._directory / f"{name}.log").read_text()[-3000:]
                raise AssertionError(f"{name} ended with {ended}, or takes too long:\n{log}")
            pause.wait(0.1)

    def _kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


def _needs(service: dict[str, Any]) -> list[str]:
    return list(service.get("depends_on", ()))
