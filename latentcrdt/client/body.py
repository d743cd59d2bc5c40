"""The body of a push: a fragment's framing and slices of its own memory, never joined."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes done, which never fall, and the bytes in all (0: not announced).

From any thread, once at a time; it must not wait for the call whose progress it is."""

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


class Meter:
    """Reports progress that never falls, although a retry starts again. For several threads."""

    def __init__(self, on_progress: Progress | None, total: int = 0) -> None:
        self.total = total
        self._on_progress = on_progress
        self._done = -1
        self._parts: list[int] = []
        self._lock = threading.Lock()

    def report(self, done: int) -> None:
        """Pass on the bytes done, if they are more than ever before."""
        if self._on_progress is None:
            return
        with self._lock:
            if done > self._done:
                self._done = done
                self._on_progress(done, self.total)

    def part(self) -> Progress | None:
        """Return the progress of one of several parts, which are added up."""
        if self._on_progress is None:
            return None
        with self._lock:
            index = len(self._parts)
            self._parts.append(0)

        def on_progress(done: int, _total: int) -> None:
            self._parts[index] = done
            self.report(sum(self._parts))

        return on_progress


def open_fragment(source: Fragment | Path | str) -> Fragment:
    """Return the fragment, or the one that a file holds: mapped, its header checked.

    The sections are not hashed here: whoever receives them does. Raises OSError for a file that
    cannot be read, InvalidInputError for one that is no fragment.
    """
    if isinstance(source, Fragment):
        return source
    return Fragment.from_buffer(map_file(Path(source)), verify=False)
