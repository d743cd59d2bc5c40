"""Leave in order when asked to: by Ctrl-C or SIGTERM, so that no server is left behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Raises SystemExit where the signal arrives, and again wherever ``obey`` is called.

    Once is not enough: an exception that a signal raises inside a ``__del__`` is printed and
    dropped by Python, and loading transformers runs thousands of them.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Take the signal."""
        self._number = number
        self.obey()

    def obey(self) -> None:
        """Leave, with the status that shells expect, if a signal has asked for it."""
        if self._number is not None:
            sys.exit(128 + self._number)


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Take SIGINT and SIGTERM over while the block runs."""
    request = StopRequest()
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
