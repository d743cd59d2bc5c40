"""Progress: how it is reported, and the meter that adds it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes done, which never fall, and the bytes in all (0: not announced).

From any thread, once at a time; it must not wait for the call whose progress it is."""


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
