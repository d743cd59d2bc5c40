"""Check a render while it arrives: bytes in, the plan first, typed errors out, memory bounded.

Sans I/O: the caller reads (a socket, a file), calls ``feed``, and ``finish`` after the last byte.
Only the plan is held; whoever wants the body keeps what ``feed`` returns.
"""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.core.container import (
    PREAMBLE_BYTES,
    RENDER_MAGIC,
    body_offset,
    check_magic,
    check_padding,
    read_preamble,
)
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.receipt import RunDigests
from latentcrdt.errors import TooLargeError, TruncatedError


class RenderReader:
    """Reads one render stream, fed in pieces of any size."""

    def __init__(
        self,
        *,
        max_bytes: int,
        begin: Callable[[RenderPlan], RunDigester | None] = RunDigester,
    ) -> None:
        """``begin`` gets the plan before any byte of the body was taken.

        It may refuse the plan by raising, and returns what shall digest the body: a `RunDigester`
        with the render's receipt checks each section as it is completed. None: nothing is hashed.
        """
        self.plan: RenderPlan | None = None
        """Known as soon as its last byte was fed."""
        self.num_bytes = 0
        """Bytes fed so far."""
        self._max_bytes = max_bytes
        self._begin = begin
        self._digester: RunDigester | None = None
        self._head = bytearray()
        self._total = 0

    def feed(self, data: Buffer) -> memoryview:
        """Take the next bytes; return those of them that belong to the body.

        Raises the InvalidInputError that they deserve, at once.
        """
        view = memoryview(data).cast("B")
        self.num_bytes += len(view)
        if self.plan is None:
            view = self._feed_head(view)
        if self.plan is not None:
            if self.num_bytes > self._total:
                raise self._truncated(self.plan)
            if self._digester is not None:
                self._digester.feed(view)
        return view

    def finish(self) -> tuple[RenderPlan, list[RunDigests]]:
        """Return the plan, and the digests of all its runs if they were computed.

        Raises TruncatedError when bytes are missing, and again what ``feed`` raised.
        """
        if self.plan is None:
            raise TruncatedError(f"the render ended inside its plan, after {self.num_bytes} bytes")
        if self.num_bytes != self._total:
            raise self._truncated(self.plan)
        return self.plan, [] if self._digester is None else self._digester.finish()

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
        self._digester = self._begin(plan)
        self.plan, self._total, self._head = plan, num_bytes, bytearray()
        return view

    def _gather(self, view: memoryview, upto: int) -> memoryview:
        missing = max(upto - len(self._head), 0)
        self._head += view[:missing]
        return view[missing:]

    def _truncated(self, plan: RenderPlan) -> TruncatedError:
        actual = plan.body_bytes + self.num_bytes - self._total
        return TruncatedError(
            f"render {plan.render_id}: expected a body of {plan.body_bytes} bytes, "
            f"got {'more' if actual > plan.body_bytes else actual}",
            id=str(plan.render_id),
            expected=plan.body_bytes,
            actual=actual,
        )
