"""The bytes of one simulated file: what its readers see, and what of it a power cut may leave."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

ZEROED = 0.2
"""How often a file that grew comes back with its new size and zeros: metadata went ahead."""


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        """Write, past a hole of zeros if the file ends before."""
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, rng: Random) -> _Write:
        """Return the part of this write that had reached the disk."""
        if rng.random() < ZEROED:
            return _Write(self.offset, bytes(len(self.data)))
        return _Write(self.offset, self.data[: rng.randint(0, len(self.data))])


@dataclass(frozen=True, slots=True)
class _Cut:
    size: int

    def apply(self, content: bytearray) -> None:
        del content[self.size :]

    def torn(self, rng: Random) -> _Cut | _Write:
        return self if rng.random() < 0.5 else _Write(0, b"")


class Content:
    """A file's bytes in the cache and on the medium."""

    def __init__(self, data: bytes = b"") -> None:
        self.cached = bytearray(data)
        """What readers see."""
        self._durable = bytearray(data)
        self._unsynced: list[_Write | _Cut] = []

    def append(self, data: bytes) -> None:
        """Write at the end, into the cache."""
        self._change(_Write(len(self.cached), data))

    def truncate(self, size: int) -> None:
        """Cut to a size, in the cache."""
        self._change(_Cut(size))

    def sync(self) -> None:
        """Bring everything to the medium."""
        for change in self._unsynced:
            change.apply(self._durable)
        self._unsynced.clear()

    def fail_to_sync(self) -> None:
        """Do what Linux does: forget that the pages were dirty, and go on showing them."""
        self._unsynced.clear()

    def after_power_cut(self, rng: Random) -> Content:
        """Return what is left: what was synced, and some of what came then, in order."""
        left = bytearray(self._durable)
        kept = rng.randint(0, len(self._unsynced))
        for change in self._unsynced[:kept]:
            change.apply(left)
        if kept < len(self._unsynced):
            self._unsynced[kept].torn(rng).apply(left)
        return Content(bytes(left))

    def _change(self, change: _Write | _Cut) -> None:
        change.apply(self.cached)
        self._unsynced.append(change)
