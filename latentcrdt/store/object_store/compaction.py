"""Keep the log short: a union of all segments first, its inputs deleted after a grace period.

A reader lists logs one by one and reads afterwards. It may list the union's log before the union is
there, and an input's after it was deleted; the grace period is longer than any listing takes, so
that cannot happen in one pass. An input that was listed and is gone when read is listed again.
"""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.store.object_store.log import SharedLog

MAX_SEGMENTS = 256
"""An opening reads each; many at a time, about half a second on a remote service."""

MAX_WRITERS = 16
"""A refresh lists each."""

GRACE_S = 60.0
"""Between writing a union and deleting its inputs: a listing of 100,000 segments takes 2 s."""


class Compaction:
    """The unions of one process; to be run by the holder of the lease. Not thread-safe."""

    def __init__(self, log: SharedLog, clock: Callable[[], float]) -> None:
        """``clock`` counts seconds and never goes back."""
        self._log = log
        self._clock = clock
        self._covered: dict[str, str] | None = None
        self._written_at = 0.0

    def run(self) -> None:
        """Write a union if the log is long, or delete what the last one covers, if it is time."""
        if self._covered is not None:
            if self._clock() - self._written_at >= GRACE_S:
                self._log.delete_covered(self._covered)
                self._covered = None
            return
        num_segments, num_writers = self._log.count()
        if num_segments > MAX_SEGMENTS or num_writers > MAX_WRITERS:
            self._covered = self._log.write_union()
            self._written_at = self._clock()
