"""The flows that fetch fragments: whole, or some layers; large ones in parts, at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer
from latentcrdt.client.atomic_file import replacing, sync
from latentcrdt.client.byte_range import ByteRange
from latentcrdt.client.calls import FRAGMENT_TYPE
from latentcrdt.client.flows.steps import Download, Flow, Work, ask, at_once
from latentcrdt.client.limits import Limits
from latentcrdt.client.meter import Meter, Progress
from latentcrdt.client.received_body import Body, FileBody, MemoryBody
from latentcrdt.client.receivers import FragmentReceiver, SectionsReceiver, SinkReceiver
from latentcrdt.core.container import (
    FRAGMENT_MAGIC,
    PREAMBLE_BYTES,
    read_preamble,
)
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.fragment_layers import FragmentLayers
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import LayerRange
from latentcrdt.core.sections_reader import SectionsReader
from latentcrdt.errors import (
    DigestMismatchError,
    TooLargeError,
    TruncatedError,
    UnexpectedAnswerError,
)

PART_BYTES = 4 * 2**20
"""Asked for first, which all but the longest headers fit; about the least that a later part is."""

HEADER_GUESS_BYTES = 64 * 1024
"""The header of 12,000 tokens of a large model; a longer one costs a second question."""


def fetch(
    fragment_id: FragmentId,
    limits: Limits,
    on_progress: Progress | None,
    claim: Callable[[int], None] = lambda _: None,
) -> Flow[Fragment]:
    """Fetch a fragment into memory, verified while it arrives; ``claim``: see `MemoryBody`."""
    body = MemoryBody(claim)
    header = yield from _fetch_into(body, fragment_id, limits, Meter(on_progress))
    return Fragment(header, body.bytes)


def fetch_to(
    fragment_id: FragmentId, path: Path, limits: Limits, on_progress: Progress | None
) -> Flow[FragmentHeader]:
    """Fetch a fragment into a file, which appears only when it is whole and verified."""
    with replacing(path) as file:
        body = FileBody(file)
        meter = Meter(on_progress)
        header = yield from _fetch_into(body, fragment_id, limits, meter, is_blocking=True)
        # A step of its own: at the end of the block an event loop would wait for the disk.
        yield from ask(Work(lambda: sync(file)))
        return header


def fetch_layers(
    fragment_id: FragmentId, layers: str, limits: Limits, on_progress: Progress | None
) -> Flow[FragmentLayers]:
    """Fetch ``a:b``, the layers ``a <= layer < b`` of a fragment, each section verified."""
    header = yield from fetch_header(fragment_id)
    chosen = LayerRange.parse(layers, len(header.geometry.layers))
    sections = SectionsReader.of_layers(header, chosen)
    num_bytes = sections.stop - sections.offset
    if num_bytes > limits.max_fragment_bytes:
        raise TooLargeError(
            f"fragment {fragment_id}: expected layers {layers} to take at most "
            f"{limits.max_fragment_bytes} bytes, got {num_bytes}",
            limit=limits.max_fragment_bytes,
        )
    body = MemoryBody.of(sections)
    yield from _fetch_sections(sections, body, limits, Meter(on_progress, num_bytes))
    return FragmentLayers(header, chosen, body.bytes)


def fetch_keys(header: FragmentHeader, layer: int, limits: Limits) -> Flow[memoryview]:
    """Fetch the verified K ``[H, T_l, D]`` of one layer."""
    sections = SectionsReader(header, 2 * layer, 2 * layer + 1)
    body = MemoryBody.of(sections)
    yield from _fetch_sections(sections, body, limits, Meter(None))
    return body.bytes


def fetch_header(fragment_id: FragmentId) -> Flow[FragmentHeader]:
    """Fetch a fragment's header alone; the id is its hash."""
    data = yield from ask(calls.fragment_start(fragment_id, HEADER_GUESS_BYTES))
    stop = PREAMBLE_BYTES + read_preamble(FRAGMENT_MAGIC, data)
    if len(data) < stop and len(data) == HEADER_GUESS_BYTES:
        data = yield from ask(calls.fragment_start(fragment_id, stop))
    if len(data) < stop:
        raise TruncatedError(f"fragment {fragment_id}: the file ended inside its header")
    header = FragmentHeader.decode(data[PREAMBLE_BYTES:stop])
    if header.fragment_id != fragment_id:
        raise DigestMismatchError(
            f"expected fragment {fragment_id}, got {header.fragment_id}",
            expected=str(fragment_id),
            actual=str(header.fragment_id),
        )
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

    yield from ask(Download(_path(fragment_id), receiver, FRAGMENT_TYPE, is_blocking=True))


def _fetch_into(
    body: Body,
    fragment_id: FragmentId,
    limits: Limits,
    meter: Meter,
    *,
    is_blocking: bool = False,
) -> Flow[FragmentHeader]:
    """Fetch the beginning, which tells how long the fragment is, and then what is left of it.

    Over one connection there is nothing to be gained by that: it fetches all of it.
    """
    first = Meter(meter.part())

    def receiver(head: Answer) -> FragmentReceiver:
        found = head.content_range
        meter.total = head.content_length if found is None else found.total
        return FragmentReceiver(
            fragment_id, body, head, max_bytes=limits.max_fragment_bytes, meter=first
        )

    def download(wanted: ByteRange | None) -> Flow[SectionsReader | None]:
        path = _path(fragment_id)
        return ask(Download(path, receiver, FRAGMENT_TYPE, wanted=wanted, is_blocking=is_blocking))

    sections = None
    if limits.connections > 1:
        sections = yield from download(ByteRange(0, PART_BYTES))
    if sections is None:
        sections = yield from download(None)
        assert sections is not None
    yield from _fetch_sections(sections, body, limits, meter, is_blocking=is_blocking)
    return sections.header


def _fetch_sections(
    sections: SectionsReader,
    body: Body,
    limits: Limits,
    meter: Meter,
    *,
    is_blocking: bool = False,
) -> Flow[None]:
    """Fetch what a reader has yet to read: in several parts if it is much."""
    header = sections.header
    num_parts = min(limits.connections, max((sections.stop - sections.offset) // PART_BYTES, 1))

    def part(reader: SectionsReader, own: Meter) -> Flow[None]:
        return ask(
            Download(
                _path(header.fragment_id),
                # A copy for every attempt that starts afresh.
                lambda _: SectionsReceiver(reader.copy(), body, own),
                FRAGMENT_TYPE,
                wanted=ByteRange(
                    header.body_start + reader.offset, header.body_start + reader.stop
                ),
                is_blocking=is_blocking,
            )
        )

    parts = [partial(part, reader, Meter(meter.part())) for reader in sections.split(num_parts)]
    yield from at_once(parts, limits)


def _path(fragment_id: FragmentId) -> str:
    return f"/v1/fragments/{fragment_id}"
