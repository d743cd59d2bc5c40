"""A contender: something that keeps KV caches, its server, and the sessions of its clients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from latentcrdt.core.fragment import Fragment


@dataclass(frozen=True, slots=True)
class Payload:
    """What one operation moves."""

    key: str
    """Never used before by any round or client."""
    slot: str
    """The same in every round: for a server that cannot delete, whose values are replaced."""
    fragment: Fragment


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one operation; looked at when the clock has stopped."""

    is_right: Callable[[], bool]
    first_layer_at: float | None = None
    """When the first layer was whole, on ``time.perf_counter``; None: with all the others."""


class Session(Protocol):
    """A client's connection."""

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return what is timed; all that a user has before he starts is made here, untimed."""
        ...

    def forget(self, payload: Payload) -> None:
        """Give back the space of a payload, as far as the server can."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections."""

    address: str
    """As the contender's own sessions understand it."""
    pid: int | None
    """The process whose memory is watched; None where there is no server."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those who are compared."""

    name: str
    puts: tuple[str, ...]
    gets: tuple[str, ...]
    """What follows its puts: an operation of a round finds what those before it have left."""
    promise: str
    """What is hashed, and what an acknowledgement means."""
    serve: Callable[[Path], AbstractContextManager[Running]]
    """Start a server whose files lie in this folder."""
    connect: Callable[[str], Session]
    """Open a session, in a client's process."""


def always_right() -> bool:
    """Return True, for operations whose answer is only that they are done."""
    return True
