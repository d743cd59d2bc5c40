"""Make a fragment, a file or a render from bytes as they come, checked before they are believed."""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.client.answers import Answer
from latentcrdt.client.intake import NO_ROOM
from latentcrdt.client.meter import Meter
from latentcrdt.client.received_body import Body, is_within
from latentcrdt.client.result_memory import result_memory
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import check_body_length
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.reader import FragmentReader
from latentcrdt.core.receipt import RunDigests
from latentcrdt.core.render_reader import RenderReader
from latentcrdt.core.rendered import Render
from latentcrdt.core.sections_reader import SectionsReader
from latentcrdt.errors import TruncatedError


class FragmentReceiver:
    """Takes a fragment file from its first byte on: all of it, or as much as was asked for."""

    def __init__(
        self, fragment_id: FragmentId, body: Body, head: Answer, *, max_bytes: int, meter: Meter
    ) -> None:
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=fragment_id)
        self._body = body
        self._is_part = head.status == 206
        self._file_bytes = head.content_range.total if head.content_range else None
        self._meter = meter

    def room(self) -> memoryview:
        """Return room for the rest of the body."""
        sections = self._reader.sections
        return NO_ROOM if sections is None else self._body.room(sections.offset, sections.stop)

    def feed(self, data: Buffer) -> None:
        """Verify the next bytes and put those of the body where they belong."""
        begun = self._reader.sections
        start = 0 if begun is None else begun.offset
        self._reader.feed(data)
        sections = self._reader.sections
        if sections is not None:
            if begun is None:
                self._begin(sections.header)
            self._body.put(start, memoryview(data)[len(data) - (sections.offset - start) :])
        self._meter.report(self._reader.num_bytes)

    def finish(self) -> SectionsReader | None:
        """Return what has read the sections, and is to read those that were not asked for.

        None: what was asked for ends inside the header.
        """
        if not self._is_part:
            self._reader.finish()
        return self._reader.sections

    def _begin(self, header: FragmentHeader) -> None:
        if self._file_bytes is not None:
            check_body_length(header, self._file_bytes - header.body_start)
        self._body.begin(header)


class SectionsReceiver:
    """Takes sections of a fragment whose header is known."""

    def __init__(self, sections: SectionsReader, body: Body, meter: Meter) -> None:
        self._sections = sections
        self._start = sections.offset
        self._body = body
        self._meter = meter

    def room(self) -> memoryview:
        """Return room for the rest of the sections."""
        return self._body.room(self._sections.offset, self._sections.stop)

    def feed(self, data: Buffer) -> None:
        """Verify the next bytes and put them where they belong."""
        offset = self._sections.offset
        self._sections.feed(data)
        self._body.put(offset, memoryview(data))
        self._meter.report(self._sections.offset - self._start)

    def finish(self) -> None:
        """Raise TruncatedError if bytes are missing."""
        self._sections.finish()


class SinkReceiver:
    """Passes a fragment's bytes on to whoever verifies and keeps them."""

    def __init__(self, write: Callable[[Buffer], None]) -> None:
        self._write = write

    def room(self) -> memoryview:
        """Return nothing: the bytes stay nowhere in memory."""
        return NO_ROOM

    def feed(self, data: Buffer) -> None:
        """Pass the next bytes on."""
        self._write(data)

    def finish(self) -> None:
        """Say nothing: who was written to knows whether it is whole."""


class RenderReceiver:
    """Keeps a render's body in one buffer, taken once its plan and its length agree."""

    def __init__(
        self,
        head: Answer,
        *,
        max_bytes: int,
        meter: Meter,
        begin: Callable[[RenderPlan], RunDigester | None],
    ) -> None:
        """``begin`` may refuse a plan, and returns what digests the body (see `RenderReader`)."""
        self._announced = head.headers.get("content-length")
        self._meter = meter
        self._begin = begin
        self._reader = RenderReader(max_bytes=max_bytes, begin=self._begin_body)
        self._body = memoryview(b"")
        self._stop = 0

    def room(self) -> memoryview:
        """Return the rest of the body's memory."""
        return self._body[self._stop :]

    def feed(self, data: Buffer) -> None:
        """Take the next bytes: of the plan first, then of the body."""
        piece = self._reader.feed(data)
        if self._reader.plan is not None:
            start, self._stop = self._stop, self._stop + len(piece)
            if not is_within(data, self._body):
                self._body[start : self._stop] = piece
        self._meter.report(self._reader.num_bytes)

    def finish(self) -> tuple[Render, list[RunDigests]]:
        """Return the render, and its digests if ``begin`` asked for them."""
        plan, digests = self._reader.finish()
        return Render(plan, self._body.toreadonly()), digests

    def _begin_body(self, plan: RenderPlan) -> RunDigester | None:
        num_bytes = len(plan.framing) + plan.body_bytes
        if self._announced not in (None, str(num_bytes)):
            raise TruncatedError(
                f"render {plan.render_id}: expected a Content-Length of {num_bytes}, "
                f"got {self._announced}"
            )
        digester = self._begin(plan)
        self._body = result_memory(plan.body_bytes)
        return digester
