"""Server processes in a network that can be parted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.testing.jepsen.network import Network
from scripts.jepsen.disk import SmallDisk


class ServerCluster:
    """Servers on directories ``server-0``, ``server-1`` ..., each a peer of all others.

    Entered, all of them answer. On leaving they are asked to stop; after an error they are killed.
    """

    def __init__(
        self,
        network: Network,
        directory: Path,
        num_servers: int,
        *,
        has_small_disks: bool,
        are_peers: bool = True,
        **settings: str | float | Path,
    ) -> None:
        """Make the disks; raises OSError if they are wanted and cannot be had.

        ``are_peers=False`` leaves every server alone: a control that must fail.
        """
        self.network = network
        self._directories = [directory / f"server-{n}" for n in range(num_servers)]
        self._are_peers = are_peers
        self._settings = settings
        self._processes: dict[int, ServerProcess] = {}
        self._disks: list[SmallDisk] = []
        if has_small_disks:
            try:
                for path in self._directories:
                    self._disks.append(SmallDisk(path))
            except BaseException:
                self._unmount()
                raise

    async def start(self, server: int) -> None:
        """Start a server on the data that it has; returns when it answers."""
        peers = self.network.peer_urls(server) if self._are_peers else []
        place = self.network.place(server)
        self._processes[server] = process = ServerProcess(
            self._directories[server],
            within=place.command,
            host=place.host,
            port=place.port,
            peers=json.dumps(peers),
            **self._settings,
        )
        await asyncio.to_thread(lambda: process.url)
        self.network.connect(server, process.address)

    async def kill(self, server: int) -> None:
        """End a server with SIGKILL."""
        self.network.connect(server, None)
        await asyncio.to_thread(self._processes[server].kill)

    async def pause(self, server: int) -> None:
        """Stop a server with SIGSTOP."""
        os.kill(self._processes[server].pid, signal.SIGSTOP)

    async def resume(self, server: int) -> None:
        """Let it go on with SIGCONT."""
        os.kill(self._processes[server].pid, signal.SIGCONT)

    async def fill_disk(self, server: int) -> None:
        """Leave a server's file system no room."""
        await asyncio.to_thread(self._disks[server].fill)

    async def free_disk(self, server: int) -> None:
        """Give the room back."""
        await asyncio.to_thread(self._disks[server].free)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self.start(n) for n in range(len(self._directories))))
        except BaseException:
            self._end(ServerProcess.kill)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._end, ServerProcess.kill if error else ServerProcess.terminate)

    def _end(self, ask: Callable[[ServerProcess], None]) -> None:
        """Ask all to end, at once, and wait for them."""
        for process in self._processes.values():
            ask(process)
        for process in self._processes.values():
            process.wait()
        self._unmount()

    def _unmount(self) -> None:
        for disk in self._disks:
            disk.unmount()
