"""What decodes bytes that come from outside, and honest bytes to begin from.

Rule: whatever the bytes, a decoder returns or raises a LatentCRDTError. Of those that have one
spelling, what is read is written again as it was; what comes in pieces is judged as it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer, error_of, retry_delay
from latentcrdt.core.claims import ClaimedPlan, parse_document, read_receipt
from latentcrdt.core.documents import plan_document, receipt_document
from latentcrdt.core.encoding import pack_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.core.placement import place
from latentcrdt.core.reader import FragmentReader
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.render_reader import RenderReader
from latentcrdt.core.rendered import Render
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer, answer_question
from latentcrdt.core.sync.roots import Roots, StateRoot
from latentcrdt.errors import LatentCRDTError
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment

MAX_BYTES = 1 << 20

STATE = StateName("s")

PREFIX = make_fragment(9, seq_len=2)
PAIR = [make_fragment(n, start=2, prefix=PREFIX.fragment_id) for n in (1, 2)]
HELD = {f.fragment_id: f for f in (PREFIX, *PAIR)}
HEADERS = {fragment_id: f.header for fragment_id, f in HELD.items()}
PLAN = place([f.header for f in PAIR], [PREFIX.header])
ENGINE = ReferenceEngine()
"""Not a compiled one: atheris changes the bytecode that it would be compiled from."""
RECEIPT = Receipt(PLAN, tuple(map(sort_key, PAIR)), tuple(run_digests(PLAN, HELD, engine=ENGINE)))
MEMBERS = LatentState(make_fragment(n).fragment_id for n in range(20))
CURSOR = Cursor("0" * 16, 1)


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder."""

    decode: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    """What it takes."""

    def try_one(self, data: bytes) -> bool:
        """Return whether the decoder took the bytes; raises what it must not raise."""
        try:
            self.decode(data)
        except LatentCRDTError:
            return False
        return True


class Canonical(Protocol):
    """What has one spelling."""

    def encode(self) -> bytes:
        """Return the bytes."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the bytes."""


def _fragment(data: bytes) -> None:
    whole = Target(Fragment.from_buffer, ()).try_one(data)
    reader = FragmentReader(max_bytes=MAX_BYTES)
    cut = len(data) // 3
    try:
        for piece in (data[:cut], data[cut:]):
            reader.feed(piece)
        header = reader.finish()
    except LatentCRDTError:
        # The reader has a limit that a file in memory has not.
        assert not whole or len(data) > MAX_BYTES
        raise
    assert whole
    assert Fragment.from_buffer(data).header == header
    assert Fragment.from_buffer(data).to_bytes() == data


def _render(data: bytes) -> None:
    whole = Target(Render.from_buffer, ()).try_one(data)
    reader = RenderReader(max_bytes=MAX_BYTES)
    cut = len(data) // 3
    try:
        for piece in (data[:cut], data[cut:]):
            reader.feed(piece)
        reader.finish()
    except LatentCRDTError:
        assert not whole or len(data) > MAX_BYTES
        raise
    assert whole
    plan_document(Render.from_buffer(data).plan)


def _receipt(data: bytes) -> None:
    document = parse_document(data)
    plan = ClaimedPlan.of(document).place(HEADERS)
    assert receipt_document(read_receipt(document, plan)) == document


def _problem(data: bytes) -> None:
    # The first line is a header, the rest a body.
    after, _, body = data.partition(b"\n")
    headers = {"retry-after": after.decode("latin-1"), "content-type": "application/problem+json"}
    error = error_of(Answer(429, headers, body))
    assert isinstance(error, LatentCRDTError)
    retry_delay(error)


def _read_by(*some: calls.Call[object]) -> Callable[[bytes], None]:
    def decode(data: bytes) -> None:
        for call in some:
            call.read(Answer(200, {"content-type": "application/json"}, data))

    return decode


def _canonical(kind: type[Canonical]) -> Callable[[bytes], None]:
    def decode(data: bytes) -> None:
        assert kind.decode(data).encode() == data

    return decode


def _document(document: object) -> bytes:
    return json.dumps(document).encode()


TARGETS: dict[str, Target] = {
    "fragment": Target(_fragment, (PREFIX.to_bytes(), PAIR[0].to_bytes())),
    "render": Target(_render, (render(PLAN, HELD, engine=ENGINE).to_bytes(),)),
    "receipt": Target(
        _receipt, (_document(receipt_document(RECEIPT)), pack_document(receipt_document(RECEIPT)))
    ),
    "problem": Target(
        _problem,
        (
            b'1\n{"code": "busy", "detail": "wait", "details": {"limit": 1}}',
            b"Wed, 21 Oct 2015 07:28:00 GMT\nnot JSON",
        ),
    ),
    "states": Target(
        _read_by(calls.states()),
        (_document({"states": [{"name": "a", "root": "0" * 64, "fragments": 0}]}),),
    ),
    "question": Target(_canonical(Question), (Question(bytes(16), ("", "0")).encode(),)),
    "sync answer": Target(
        _canonical(SyncAnswer),
        (answer_question(MEMBERS, Question(bytes(16), ("", "0"))).encode(),),
    ),
    "feed": Target(_canonical(FeedPage), (FeedPage(CURSOR, True, {STATE: MEMBERS}).encode(),)),
    "roots": Target(_canonical(Roots), (Roots(CURSOR, {STATE: StateRoot.of(MEMBERS)}).encode(),)),
}
