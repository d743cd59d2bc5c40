"""Mooncake's store over TCP: a master, one process that holds the memory, clients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench_peers.child import child, free_port
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running
from scripts.bench_peers.mooncake_holder import READY, open_store

MASTER_READY = "Master service"

SEGMENT_BYTES = 4 << 30
"""Room for 8 clients' 256 MB; what is not used is not touched."""


class MooncakeSession:
    """A client that gives no memory of its own."""

    def __init__(self, address: str) -> None:
        packages, master = address.split("\n")
        self._store = open_store(packages, master, 0)

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a put from, or a get into, registered memory."""
        body = np.frombuffer(payload.fragment.body, np.uint8)
        if operation.endswith(" get"):
            target = np.ones_like(body)
            memory = _Registered(self._store, target)
            return lambda: self._get(payload, memory, body)
        memory = _Registered(self._store, body)
        return lambda: self._put(payload, memory)

    def forget(self, payload: Payload) -> None:
        """Remove the object, although it was read just now."""
        self._store.remove(payload.key, True)

    def _put(self, payload: Payload, memory: _Registered) -> Outcome:
        code = self._store.put_from(payload.key, memory.address, memory.array.nbytes)
        return Outcome(lambda: bool(code == 0))

    def _get(self, payload: Payload, memory: _Registered, body: np.ndarray) -> Outcome:
        self._store.get_into(payload.key, memory.address, memory.array.nbytes)
        return Outcome(lambda: bool(np.array_equal(memory.array, body)))


class _Registered:
    """Memory that Mooncake was told of, until nobody needs it."""

    def __init__(self, store: Any, array: np.ndarray) -> None:
        self._store, self.array, self.address = store, array, array.ctypes.data
        store.register_buffer(self.address, array.nbytes)

    def __del__(self) -> None:
        self._store.unregister_buffer(self.address)


@contextmanager
def mooncake_servers(packages: Path, folder: Path) -> Iterator[Running]:
    """Run the master and the holder."""
    port, metrics_port = free_port(), free_port()
    program = packages / "mooncake" / "mooncake_master"
    master = f"127.0.0.1:{port}"
    options = [f"--rpc_port={port}", f"--metrics_port={metrics_port}", f"--log_dir={folder}"]
    command = [sys.executable, "-m", "scripts.bench_peers.mooncake_holder", packages, master]
    with (
        child([program, *options, "--logtostderr"], MASTER_READY),
        child([*command, str(SEGMENT_BYTES)], READY) as (pid, _),
    ):
        yield Running(f"{packages}\n{master}", pid)


def mooncake_contender(packages: Path) -> Contender:
    """Return Mooncake's store."""
    return Contender(
        "Mooncake TCP",
        ("Mooncake put",),
        ("Mooncake get",),
        "nothing is hashed; an acknowledgement means in another process's memory",
        partial(mooncake_servers, packages),
        MooncakeSession,
    )
