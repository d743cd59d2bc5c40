"""What a call of the client is made of: steps, and flows that yield them. Sans I/O.

A flow is a generator: each step that it yields is performed by a client, which sends it the result.
One flow serves the blocking and the asynchronous client: they differ in how a step is performed,
never in which steps there are. An error of a step is thrown into the flow, which may answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from latentcrdt.client.answers import Answer
from latentcrdt.client.byte_range import ByteRange
from latentcrdt.client.calls import Call
from latentcrdt.client.intake import Receiver

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Download(Generic[T]):
    """A GET whose body is handed to a receiver as it comes, and resumed where it broke."""

    path: str
    make_receiver: Callable[[Answer], Receiver[T]]
    accept: str
    params: Mapping[str, str] = field(default_factory=dict)
    wanted: ByteRange | None = None
    """Which bytes to ask for; None: all."""
    is_blocking: bool = False
    """Whether the receiver waits for a disk."""


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A computation that takes long enough to block an event loop."""

    function: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Several(Generic[T]):
    """Flows to be run at once, as many as a client may; the first that fails ends the others."""

    flows: tuple[Flow[T], ...]


Step: TypeAlias = Call[Any] | Download[Any] | Work[Any] | Several[Any]
Flow: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much memory the other end may make this one take, and how much may go on at once."""

    max_fragment_bytes: int
    max_render_bytes: int
    connections: int


def ask(step: Call[T] | Download[T] | Work[T]) -> Flow[T]:
    """Perform one step; ``yield from`` gives its result with its type."""
    result: T = yield step
    return result


def at_once(flows: Iterable[Flow[T]]) -> Flow[list[T]]:
    """Run several flows at once; return their results in the order of the flows."""
    results: list[T] = yield Several(tuple(flows))
    return results
