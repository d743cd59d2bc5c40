"""Make a fragment, a file or a render from bytes as they come, checked before they are believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from latentcrdt.client.answers import Answer
from latentcrdt.client.body import Meter
from latentcrdt.client.intake import NO_ROOM
from latentcrdt.client.result_memory import result_memory
from latentcrdt.core.container import body_offset
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.encoding import Buffer, digest
from latentcrdt.core.fragment import Fragment, check_section
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.reader import FragmentReader
from latentcrdt.core.receipt import RunDigests
from latentcrdt.core.render_reader import RenderReader
from latentcrdt.core.rendered import Render
from latentcrdt.errors import TruncatedError


class FragmentReceiver:
    """Keeps a fragment's body in one buffer, taken once its header matched the id asked for."""

    def __init__(self, fragment_id: FragmentId, *, max_bytes: int, meter: Meter) -> None:
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=fragment_id)
        self._body = memoryview(b"")
        self._stop = 0
        self._meter = meter

    def room(self) -> memoryview:
        """Return the rest of the body's memory."""
        return self._body[self._stop :]

    def feed(self, data: Buffer) -> None:
        """Verify the next bytes and keep those of the body."""
        self._reader.feed(data)
        header = self._reader.header
        if header is not None:
            if not self._body.nbytes:
                self._body = result_memory(header.body_bytes)
            start = self._stop
            self._stop = self._reader.num_bytes - body_offset(len(header.encoded))
            if not _is_within(data, self._body):
                self._body[start : self._stop] = data[len(data) - (self._stop - start) :]
        self._meter.report(self._reader.num_bytes)

    def finish(self) -> Fragment:
        """Return the verified fragment."""
        return Fragment(self._reader.finish(), self._body.toreadonly())


class FragmentFileReceiver:
    """Writes a fragment to a file while it is verified; holds none of its body."""

    def __init__(
        self, fragment_id: FragmentId, file: BinaryIO, *, max_bytes: int, meter: Meter
    ) -> None:
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=fragment_id)
        self._file = file
        self._meter = meter
        # An attempt that starts again must not leave the one before it behind.
        file.seek(0)
        file.truncate()

    def room(self) -> memoryview:
        """Return nothing: the bytes stay nowhere in memory."""
        return NO_ROOM

    def feed(self, data: Buffer) -> None:
        """Verify the next bytes, then write them."""
        self._reader.feed(data)
        self._file.write(data)
        self._meter.report(self._reader.num_bytes)

    def finish(self) -> FragmentHeader:
        """Return the header of the fragment that was written, verified."""
        return self._reader.finish()


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
            if not _is_within(data, self._body):
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


class LayerReceiver:
    """Keeps the two sections of one layer of a fragment, whose header is known."""

    def __init__(self, header: FragmentHeader, layer: int) -> None:
        self._header = header
        self._sections = header.keys_section(layer), header.values_section(layer)
        self._data = bytearray()

    def room(self) -> memoryview:
        """Return nothing: a layer is small, and gathered as it comes."""
        return NO_ROOM

    def feed(self, data: Buffer) -> None:
        """Take the next bytes."""
        self._data += data
        if len(self._data) > self._num_bytes:
            raise self._truncated()

    def finish(self) -> memoryview:
        """Return the layer's verified K ``[H, T, D]``."""
        if len(self._data) != self._num_bytes:
            raise self._truncated()
        view = memoryview(self._data).toreadonly()
        keys, values = self._sections
        check_section(self._header, keys, digest(view[: keys.size]))
        check_section(self._header, values, digest(view[keys.size :]))
        return view[: keys.size]

    @property
    def _num_bytes(self) -> int:
        return sum(section.size for section in self._sections)

    def _truncated(self) -> TruncatedError:
        return TruncatedError(
            f"fragment {self._header.fragment_id}, layer {self._sections[0].layer}: "
            f"expected {self._num_bytes} bytes, got {len(self._data)}"
        )


def _is_within(data: Buffer, body: memoryview) -> bool:
    """Return whether bytes are where they belong already: read into the room that was given."""
    return isinstance(data, memoryview) and data.obj is body.obj
