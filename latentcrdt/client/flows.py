"""What takes several calls, as generators: each yields a step and is sent its result. Sans I/O.

One flow serves the blocking and the asynchronous client: they differ in how a step is performed,
never in which steps there are. An error of a step is thrown into the flow, which may answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer
from latentcrdt.client.arriving import ArrivingRender
from latentcrdt.client.atomic_file import replacing, sync
from latentcrdt.client.body import FragmentBody, Meter, Progress, open_fragment
from latentcrdt.client.calls import FRAGMENT_TYPE, MAX_IDS_PER_CALL, RENDER_TYPE, Call
from latentcrdt.client.intake import Receiver
from latentcrdt.client.local_render import check_canonical, check_plan, pinned
from latentcrdt.client.receivers import (
    FragmentFileReceiver,
    FragmentReceiver,
    RenderReceiver,
    SinkReceiver,
)
from latentcrdt.client.values import PushResult, reading
from latentcrdt.core.claims import read_receipt
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.documents import ReceiptDocument
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt, RunDigests
from latentcrdt.core.rendered import Render
from latentcrdt.errors import FragmentNotFoundError, InvalidRequestError, UnexpectedAnswerError

T = TypeVar("T")

ASK_FIRST_BYTES = 64 * 1024
"""From this size on, asking whether the server holds a fragment costs less than sending it."""


@dataclass(frozen=True, slots=True)
class Download(Generic[T]):
    """A GET whose body is handed to a receiver as it comes, and resumed where it broke."""

    path: str
    make_receiver: Callable[[Answer], Receiver[T]]
    accept: str
    params: Mapping[str, str] = field(default_factory=dict)
    is_blocking: bool = False
    """Whether the receiver waits for a disk."""


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A computation that takes long enough to block an event loop."""

    function: Callable[[], T]


Step: TypeAlias = Call[Any] | Download[Any] | Work[Any]
Flow: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much memory the other end may make this one take."""

    max_fragment_bytes: int
    max_render_bytes: int


def ask(step: Call[T] | Download[T] | Work[T]) -> Flow[T]:
    """Perform one step; ``yield from`` gives its result with its type."""
    result: T = yield step
    return result


def push(
    name: StateName,
    source: Fragment | Path | str,
    on_progress: Progress | None,
    *,
    is_inviting: bool,
) -> Flow[PushResult]:
    """Make a fragment a member, sending it only if the server lacks it.

    What it costs when the fragment is held, or refused, is one round trip. ``is_inviting``: this
    server says so to the head of the push itself, which then waits with its body; otherwise it is
    asked by a call of its own. Small fragments are sent at once.
    """
    fragment = yield from ask(Work(lambda: open_fragment(source)))
    body = FragmentBody(fragment, on_progress)
    is_large = body.num_bytes >= ASK_FIRST_BYTES
    if is_large and not is_inviting:
        try:
            created = yield from ask(calls.insert(name, body.fragment_id))
        except FragmentNotFoundError:
            pass
        else:
            body.finish_early()
            return PushResult(body.fragment_id, created, sent=False)
    result = yield from ask(calls.push(name, body, on_invitation=is_large and is_inviting))
    if not result.sent:
        body.finish_early()
    return result


def missing(ids: Sequence[FragmentId]) -> Flow[list[FragmentId]]:
    """Ask for the missing ones of any number of ids."""
    lacking: list[FragmentId] = []
    for start in range(0, len(ids), MAX_IDS_PER_CALL):
        lacking += yield from ask(calls.missing(ids[start : start + MAX_IDS_PER_CALL]))
    return lacking


def fetch(fragment_id: FragmentId, limits: Limits, on_progress: Progress | None) -> Flow[Fragment]:
    """Fetch a fragment into memory, verified while it arrives."""
    meter = Meter(on_progress)

    def receiver(head: Answer) -> FragmentReceiver:
        meter.total = _announced_bytes(head)
        return FragmentReceiver(fragment_id, max_bytes=limits.max_fragment_bytes, meter=meter)

    return (yield from ask(Download(f"/v1/fragments/{fragment_id}", receiver, FRAGMENT_TYPE)))


def fetch_to(
    fragment_id: FragmentId, path: Path, limits: Limits, on_progress: Progress | None
) -> Flow[FragmentHeader]:
    """Fetch a fragment into a file, which appears only when it is whole and verified."""
    meter = Meter(on_progress)
    with replacing(path) as file:

        def receiver(head: Answer) -> FragmentFileReceiver:
            meter.total = _announced_bytes(head)
            return FragmentFileReceiver(
                fragment_id, file, max_bytes=limits.max_fragment_bytes, meter=meter
            )

        download = Download(
            f"/v1/fragments/{fragment_id}", receiver, FRAGMENT_TYPE, is_blocking=True
        )
        header = yield from ask(download)
        # A step of its own: at the end of the block an event loop would wait for the disk.
        yield from ask(Work(lambda: sync(file)))
        return header


def pour(fragment_id: FragmentId, write: Callable[[Buffer], None]) -> Flow[None]:
    """Hand a fragment's file to ``write`` as it comes, unverified; resumed where it breaks."""
    sinks = iter([SinkReceiver(write)])

    def receiver(_: Answer) -> SinkReceiver:
        sink = next(sinks, None)
        if sink is None:
            # What was written cannot be taken back; only a server without strong ETags does this.
            raise UnexpectedAnswerError(
                f"fragment {fragment_id}: expected the rest after a broken connection, got all"
            )
        return sink

    path = f"/v1/fragments/{fragment_id}"
    yield from ask(Download(path, receiver, FRAGMENT_TYPE, is_blocking=True))


def receipt_for(name: StateName, plan: RenderPlan, query: RenderQuery) -> Flow[Receipt]:
    """Ask for the receipt of exactly this plan, also when the state has grown since.

    ``query`` is what the plan answered: its own, shorter question is tried first. Only if its
    answer is another render by now is each id spelled out. Not of a merge: see `merge_flows`.
    """
    if query.merge is not None:
        raise InvalidRequestError(
            "receipt: expected a query without merge; ask for that of the branches, and "
            "latentcrdt.render.derived.receipt_of makes that of what came of them"
        )
    document: ReceiptDocument = yield from ask(calls.receipt(name, query))
    if _named_render(document) != str(plan.render_id):
        document = yield from ask(calls.receipt(name, pinned(plan)))
    # Tens of thousands of sections take half a second to compare.
    return (yield from ask(Work(partial(read_receipt, document, plan))))


def render_remotely(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    verify: bool,
) -> Flow[Render]:
    """Let the server render; check the answer's plan, and its bytes against the receipt.

    The receipt is asked for afterwards: asked first, the server would have to turn all keys before
    it sends a byte, and again to send them. Here both ends digest what they have in hand, while it
    passes, and the receipt costs one small call.
    """
    render, digests = yield from receive(name, query, limits, on_progress, digest=verify)
    if verify:
        receipt = yield from receipt_for(name, render.plan, query)
        receipt.check(digests)
        check_canonical(receipt, query)
    return render


def receive(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    digest: bool,
) -> Flow[tuple[Render, list[RunDigests]]]:
    """Let the server render; return what came, its plan checked, and its digests if wanted."""
    meter = Meter(on_progress)

    def begin(plan: RenderPlan) -> RunDigester | None:
        check_plan(plan, query)
        return RunDigester(plan) if digest else None

    def receiver(head: Answer) -> RenderReceiver:
        meter.total = _announced_bytes(head)
        return RenderReceiver(head, max_bytes=limits.max_render_bytes, meter=meter, begin=begin)

    path = f"/v1/states/{name}/render"
    download = Download(path, receiver, RENDER_TYPE, query.to_params())
    return (yield from ask(download))


def receive_layers(name: StateName, query: RenderQuery, arriving: ArrivingRender) -> Flow[object]:
    """Let the server render, and hand its layers on as they come."""
    path = f"/v1/states/{name}/render"
    return (yield from ask(Download(path, arriving.receiver, RENDER_TYPE, query.to_params())))


def _named_render(document: ReceiptDocument) -> str:
    with reading("a receipt"):
        return document["plan"]["render_id"]


def _announced_bytes(head: Answer) -> int:
    """Return the Content-Length for a progress bar; no memory is taken on its word."""
    text = head.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
