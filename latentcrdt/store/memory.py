"""A store in memory: for tests, and for a replica whose fragments others keep."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.reader import FragmentReader
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary
from latentcrdt.errors import FragmentNotFoundError, StoreFailedError
from latentcrdt.store.protocol import Damage


class MemoryStore:
    """A `latentcrdt.store.protocol.Store` that lasts as long as its process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fragments: dict[FragmentId, Fragment] = {}
        self._summaries: dict[FragmentId, Summary] = {}
        self._states: dict[StateName, LatentState] = {}
        self._closed = False

    def put(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> MemoryUpload:
        """Begin to take one fragment of at most ``max_bytes``."""
        return MemoryUpload(self, max_bytes=max_bytes, expected_id=expected_id)

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None = None) -> Fragment:  # noqa: ARG002
        """Return a fragment."""
        try:
            return self._fragments[fragment_id]
        except KeyError as error:
            raise FragmentNotFoundError(
                f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
            ) from error

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header."""
        return self.get(fragment_id).header

    def summary(self, fragment_id: FragmentId) -> Summary | None:
        """Return what was kept of a fragment, or None."""
        return self._summaries.get(fragment_id)

    def keep_summary(self, summary: Summary) -> None:
        """Keep a summary."""
        self._summaries[summary.fragment_id] = summary

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash every section; memory that fails is the machine's end, not a finding."""
        self.get(fragment_id).verify()

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the fragment is held."""
        return fragment_id in self._fragments

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held, in the order given."""
        return [fragment_id for fragment_id in ids if not self.has(fragment_id)]

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments held."""
        with self._lock:
            return iter(list(self._fragments))

    def remove(self, fragment_id: FragmentId) -> None:
        """Forget a fragment; who holds it keeps it."""
        self.check_open()
        with self._lock:
            self._fragments.pop(fragment_id, None)
            self._summaries.pop(fragment_id, None)

    def merge(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into a state."""
        self.check_open()
        with self._lock:
            self._states.setdefault(name, LatentState()).merge(delta)

    def states(self) -> dict[StateName, LatentState]:
        """Return every state: copies."""
        with self._lock:
            return {name: state.copy() for name, state in self._states.items()}

    def refresh(self) -> dict[StateName, LatentState]:
        """Return nothing: no other process can reach this memory."""
        return {}

    def damage(self) -> Damage:
        """Return nothing: memory that fails is the machine's end."""
        return Damage(0, 0)

    def close(self) -> None:
        """Refuse further writes."""
        self._closed = True

    def check_open(self) -> None:
        """Raise StoreFailedError if the store was closed."""
        if self._closed:
            raise StoreFailedError("the store takes no writes: it is closed")

    def publish(self, fragment: Fragment) -> bool:
        """Make a verified fragment visible; return False if it was held already."""
        self.check_open()
        with self._lock:
            if fragment.fragment_id in self._fragments:
                return False
            self._fragments[fragment.fragment_id] = fragment
            return True


class MemoryUpload:
    """A fragment that is gathered in memory, verified as it comes."""

    def __init__(
        self, store: MemoryStore, *, max_bytes: int, expected_id: FragmentId | None
    ) -> None:
        self._store = store
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=expected_id)
        self._data = bytearray()

    def write(self, data: Buffer) -> None:
        """Verify and keep the next bytes."""
        self._reader.feed(data)
        self._data += data

    def finish(self) -> Fragment:
        """Return the whole fragment."""
        self._reader.finish()
        return Fragment.from_buffer(self._data, verify=False)

    def publish(self) -> bool:
        """Make the fragment visible."""
        return self._store.publish(self.finish())

    def __enter__(self) -> Self:
        self._store.check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discard what was not published."""
