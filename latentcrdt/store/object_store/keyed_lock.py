"""One at a time for each key, and any number of keys at once."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Holding:
    lock: threading.Lock = field(default_factory=threading.Lock)
    num_holders: int = 0
    """Who holds it, and who waits for it."""


class KeyedLock:
    """Locks that exist as long as someone holds or wants them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, _Holding] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Keep everyone else who holds this key out of the block."""
        with self._lock:
            holding = self._held.setdefault(key, _Holding())
            holding.num_holders += 1
        try:
            with holding.lock:
                yield
        finally:
            with self._lock:
                holding.num_holders -= 1
                if not holding.num_holders:
                    del self._held[key]
