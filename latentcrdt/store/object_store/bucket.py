"""The little that a shared store asks of an object service: eight calls, small enough to simulate.

Rule: "there is none" is an answer (None, or False), and everything else that goes wrong is
StoreFailedError or StoreFullError. Reason: an object that could not be asked for and is reported as
missing would be pushed again at best, and rendered without at worst.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from latentcrdt.core.encoding import Buffer


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the service says of one object."""

    key: str
    size: int
    """Bytes."""
    modified_at: int
    """Unix seconds by the service's clock, at which the object was last written."""
    etag: str
    """Differs between writings of different bytes; empty if the service gives none."""


class Bucket(Protocol):
    """Objects by key. Every method may be called from any thread; writes are atomic.

    A write that raises may still take place, later: callers write a key with one content only.
    """

    def put(self, key: str, content: Buffer) -> None:
        """Write an object, or write it again; durable on return.

        ``content`` may be a mapped file larger than memory.
        """

    def head(self, key: str) -> ObjectInfo | None:
        """Return what there is under a key, None if nothing."""

    def read(self, key: str) -> Buffer | None:
        """Return an object's bytes; None if there is none."""

    def read_range(self, key: str, start: int, stop: int) -> Buffer | None:
        """Return the bytes ``start`` to ``stop`` of an object, fewer at its end; None if none.

        Never asked for a range that is empty, or begins at or after the object's end.
        """

    def objects(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield every object below ``prefix`` (which ends in a slash) whose key is past ``after``.

        What was written before the call is among them; the order is the service's own.
        """

    def folders(self, prefix: str) -> list[str]:
        """Return the names between ``prefix`` and the next slash, of all keys that have one."""

    def copy(self, source: str, target: str) -> bool:
        """Copy an object within the service; return False if there is no source."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are fine."""
