"""latentcrdt, through its public client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.client import Client
from latentcrdt.core.rendered import Render
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running
from scripts.bench_peers.fragments import NUM_LAYERS

PUSH, FETCH = "latentcrdt push", "latentcrdt fetch"
RENDER_THERE, RENDER_HERE = "latentcrdt render, server", "latentcrdt render, client"

ATTEMPTS = 20
"""A server takes 1 GiB of pushes at a time: of eight clients some are told to come again."""


class OurSession:
    """A client; every payload goes into a state of its own."""

    def __init__(self, address: str) -> None:
        self._client = Client(address, attempts=ATTEMPTS)

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a push, a fetch or a render."""
        action = {
            PUSH: self._push,
            FETCH: self._fetch,
            RENDER_THERE: self._render_there,
            RENDER_HERE: self._render_here,
        }[operation]
        return lambda: action(payload)

    def forget(self, payload: Payload) -> None:
        """Retract the state, which gives back its space."""
        self._client.retract(payload.key)

    def _push(self, payload: Payload) -> Outcome:
        # A known fragment would not be sent, and the row would show nothing.
        result = self._client.push(payload.key, payload.fragment)
        return Outcome(lambda: result.sent)

    def _fetch(self, payload: Payload) -> Outcome:
        fragment = self._client.fetch(payload.fragment.fragment_id)
        return Outcome(lambda: fragment.body == payload.fragment.body)

    def _render_there(self, payload: Payload) -> Outcome:
        first_layer_bytes = len(payload.fragment.body) // NUM_LAYERS
        first_layer_at: list[float] = []

        def watch(done: int, total: int) -> None:
            framing = max(0, total - len(payload.fragment.body))
            if not first_layer_at and done >= framing + first_layer_bytes:
                first_layer_at.append(time.perf_counter())

        render = self._client.render(payload.key, where="server", on_progress=watch)
        return Outcome(lambda: _is_turned(render, payload), first_layer_at[0])

    def _render_here(self, payload: Payload) -> Outcome:
        render = self._client.render(payload.key, where="client")
        return Outcome(lambda: _is_turned(render, payload))


def _is_turned(render: Render, payload: Payload) -> bool:
    """Return whether values are as they were, and keys are not: they were moved."""
    fragment = payload.fragment
    return all(
        render.values(i) == fragment.values(i) and render.keys(i) != fragment.keys(i)
        for i in range(NUM_LAYERS)
    )


@contextmanager
def our_server(folder: Path) -> Iterator[Running]:
    """Run a server as it comes."""
    with ServerProcess(folder / "data") as server:
        yield Running(server.url, server.pid)


OURS = Contender(
    "latentcrdt",
    (PUSH,),
    (FETCH, RENDER_THERE, RENDER_HERE),
    "both ends hash every byte, of renders too; a push returns when it is fsynced",
    our_server,
    OurSession,
)
