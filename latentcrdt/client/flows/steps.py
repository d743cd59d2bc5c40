"""What a call of the client is made of: steps, and flows that yield them. Sans I/O.

A flow is a generator: each step that it yields is performed by a client, which sends it the result.
One flow serves the blocking and the asynchronous client: they differ in how a step is performed,
never in which steps there are. An error of a step is thrown into the flow, which may answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, TypeAlias, TypeVar

from latentcrdt.client.answers import Answer
from latentcrdt.client.byte_range import ByteRange
from latentcrdt.client.calls import Call
from latentcrdt.client.intake import Receiver
from latentcrdt.client.limits import Limits
from latentcrdt.errors import BusyError

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
    """Flows to be run at once, a few at a time; the first that fails ends the others."""

    flows: tuple[Flow[T], ...]
    num_at_once: int


Step: TypeAlias = Call[Any] | Download[Any] | Work[Any] | Several[Any]
Flow: TypeAlias = Generator[Step, Any, T]


def ask(step: Call[T] | Download[T] | Work[T]) -> Flow[T]:
    """Perform one step; ``yield from`` gives its result with its type."""
    result: T = yield step
    return result


def at_once(makers: Iterable[Callable[[], Flow[T]]], limits: Limits) -> Flow[list[T]]:
    """Run flows, several at once; return their results in the order of their makers.

    A server may be too busy for several and still have time for one: once it refuses a flow, those
    that have not ended are run one after another, when the others have.
    """
    made = list(makers)
    tried: list[list[T]] = [[] for _ in made]
    if limits.connections > 1 and len(made) > 1:
        refused = Event()
        flows = tuple(_unless_busy(make, refused) for make in made)
        tried = yield Several(flows, limits.connections)
    results = []
    for make, result in zip(made, tried, strict=True):
        results += result or [(yield from make())]
    return results


def _unless_busy(make: Callable[[], Flow[T]], refused: Event) -> Flow[list[T]]:
    """Return the one result of a flow, or none if the server was too busy for any of them."""
    if refused.is_set():
        return []
    try:
        return [(yield from make())]
    except BusyError:
        refused.set()
        return []
