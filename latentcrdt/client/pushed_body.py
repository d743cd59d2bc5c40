"""The body of a push: a fragment's framing and slices of its own memory, never joined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latentcrdt.client.mapped_file import map_file
from latentcrdt.client.meter import Meter, Progress
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId

SLICE_BYTES = 1024 * 1024
"""One write to the socket: large enough to cost no time, small enough for lively progress."""


class FragmentBody:
    """A fragment file to send, as often as it takes: each iteration starts at the first byte."""

    def __init__(self, fragment: Fragment, on_progress: Progress | None = None) -> None:
        self.fragment_id: FragmentId = fragment.fragment_id
        self._parts = (memoryview(fragment.framing), fragment.body.cast("B"))
        self.num_bytes = sum(map(len, self._parts))
        self._meter = Meter(on_progress, self.num_bytes)
        self.is_begun = False
        """Whether any of it was ever asked for: not where the server had no use for it."""

    def __iter__(self) -> Iterator[memoryview]:
        self.is_begun = True
        done = 0
        for part in self._parts:
            for start in range(0, len(part), SLICE_BYTES):
                piece = part[start : start + SLICE_BYTES]
                yield piece
                done += len(piece)
                self._meter.report(done)

    def finish_early(self) -> None:
        """Report the whole body as done: the server has it already."""
        self._meter.report(self.num_bytes)


def open_fragment(source: Fragment | Path | str) -> Fragment:
    """Return the fragment, or the one that a file holds: mapped, its header checked.

    The sections are not hashed here: whoever receives them does. Raises OSError for a file that
    cannot be read, InvalidInputError for one that is no fragment.
    """
    if isinstance(source, Fragment):
        return source
    return Fragment.from_buffer(map_file(Path(source)), verify=False)
