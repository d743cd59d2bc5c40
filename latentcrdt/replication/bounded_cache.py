"""A mapping that forgets what was not used for longest once it weighs too much."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(MutableMapping[K, V], Generic[K, V]):
    """Holds values of at most ``max_weight`` together. May be used from any thread."""

    def __init__(self, max_weight: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        """``weigh`` gives one value's weight; by default each weighs 1."""
        self._max_weight = max_weight
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, key: K) -> V:
        with self._lock:
            value = self._values[key]
            self._values.move_to_end(key)
            return value

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self._forget(key)
            self._values[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._max_weight:
                self._forget(next(iter(self._values)))

    def __delitem__(self, key: K) -> None:
        with self._lock:
            if key not in self._values:
                raise KeyError(key)
            self._forget(key)

    def __iter__(self) -> Iterator[K]:
        with self._lock:
            return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def _forget(self, key: K) -> None:
        if key in self._values:
            self._weight -= self._weigh(self._values.pop(key))
