"""Make a fragment, a file or a render from bytes as they come, checked before they are believed."""

from __future__ import annotations

from typing import BinaryIO

from latentcrdt.client.answers import Answer
from latentcrdt.client.body import Meter
from latentcrdt.core.container import (
    PREAMBLE_BYTES,
    RENDER_MAGIC,
    body_offset,
    check_magic,
    check_padding,
    read_preamble,
)
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.reader import FragmentReader
from latentcrdt.core.rendered import Render
from latentcrdt.errors import TooLargeError, TruncatedError


class FragmentReceiver:
    """Keeps a fragment's body in one buffer, taken once its header matched the id asked for."""

    def __init__(self, fragment_id: FragmentId, *, max_bytes: int, meter: Meter) -> None:
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=fragment_id)
        self._body = memoryview(b"")
        self._stop = 0
        self._meter = meter

    def feed(self, data: bytes) -> None:
        """Verify the next bytes and keep those of the body."""
        self._reader.feed(data)
        header = self._reader.header
        if header is not None:
            if not self._body.nbytes:
                self._body = memoryview(bytearray(header.body_bytes))
            start = self._stop
            self._stop = self._reader.num_bytes - body_offset(len(header.encoded))
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

    def feed(self, data: bytes) -> None:
        """Verify the next bytes, then write them."""
        self._reader.feed(data)
        self._file.write(data)
        self._meter.report(self._reader.num_bytes)

    def finish(self) -> FragmentHeader:
        """Return the header of the fragment that was written, verified."""
        return self._reader.finish()


class RenderReceiver:
    """Keeps a render's body in one buffer, taken once its plan and its length agree."""

    def __init__(self, head: Answer, *, max_bytes: int, meter: Meter) -> None:
        self._announced = head.headers.get("content-length")
        self._max_bytes = max_bytes
        self._meter = meter
        self._head = bytearray()
        self._plan: RenderPlan | None = None
        self._body = memoryview(b"")
        self._stop = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes: of the plan first, then of the body."""
        view = memoryview(data)
        if self._plan is None:
            view = self._feed_head(view)
        if self._plan is not None and len(view):
            start, self._stop = self._stop, self._stop + len(view)
            if self._stop > len(self._body):
                raise self._truncated(self._plan)
            self._body[start : self._stop] = view
        self._meter.report(len(self._head) + self._stop)

    def finish(self) -> Render:
        """Return the render; its bytes are as announced, and verified by nothing yet."""
        if self._plan is None:
            raise TruncatedError(f"the render ended inside its plan, after {len(self._head)} bytes")
        if self._stop != len(self._body):
            raise self._truncated(self._plan)
        return Render(self._plan, self._body.toreadonly())

    def _feed_head(self, view: memoryview) -> memoryview:
        """Gather preamble, plan and padding; return what belongs to the body."""
        view = self._gather(view, PREAMBLE_BYTES)
        check_magic(RENDER_MAGIC, self._head)
        if len(self._head) < PREAMBLE_BYTES:
            return view
        length = read_preamble(RENDER_MAGIC, self._head)
        offset = body_offset(length)
        view = self._gather(view, offset)
        if len(self._head) < offset:
            return view
        check_padding(self._head[PREAMBLE_BYTES + length :])
        plan = RenderPlan.decode(self._head[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
        num_bytes = offset + plan.body_bytes
        if num_bytes > self._max_bytes:
            raise TooLargeError(
                f"render {plan.render_id}: expected at most {self._max_bytes} bytes, "
                f"got {num_bytes}",
                limit=self._max_bytes,
            )
        if self._announced not in (None, str(num_bytes)):
            raise TruncatedError(
                f"render {plan.render_id}: expected a Content-Length of {num_bytes}, "
                f"got {self._announced}"
            )
        self._plan = plan
        self._body = memoryview(bytearray(plan.body_bytes))
        return view

    def _gather(self, view: memoryview, upto: int) -> memoryview:
        missing = max(upto - len(self._head), 0)
        self._head += view[:missing]
        return view[missing:]

    def _truncated(self, plan: RenderPlan) -> TruncatedError:
        return TruncatedError(
            f"render {plan.render_id}: expected a body of {len(self._body)} bytes, "
            f"got {'more' if self._stop > len(self._body) else self._stop}"
        )
