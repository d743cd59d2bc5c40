"""A gate that flows pass before they have any effect, so that a group of them can be ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext


class Gate:
    """Open until it is closed, or the gate around it is. May be used from any thread."""

    def __init__(self, outer: Gate | None = None) -> None:
        self._outer = outer
        self._changed = threading.Condition()
        self._is_closed = False
        self._num_inside = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let the block run, and be waited for by whoever closes the gate; CancelledError."""
        with nullcontext() if self._outer is None else self._outer.passing():
            with self._changed:
                if self._is_closed:
                    raise CancelledError
                self._num_inside += 1
            try:
                yield
            finally:
                with self._changed:
                    self._num_inside -= 1
                    self._changed.notify_all()

    def close(self) -> None:
        """Let no one pass any more; return when no one is inside."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: self._num_inside == 0)
