"""Memberships in a bucket: append-only segments ``log/<writer>/<sequence>``, for all states.

One log a process rather than one a state: a group commit of many states is then one write, and a
reader asks once for each server instead of once for each of ten thousand states.

Rules, and what breaks without them:

1. A log has one writer, the process whose boot id it is named after, which writes one segment at a
   time. So no two writers meet, and put-if-absent is never needed.
2. A key is written once. A write that failed may yet take place, after its successors: what was in
   it is written again in the next segment, so a reader that has gone past the place misses nothing.
3. Position and states change together: `covered` names only segments whose content the states
   hold. Otherwise compaction would delete what its union does not have.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import LatentCRDTError, StoreFailedError
from latentcrdt.store.group_commit import GroupCommit
from latentcrdt.store.membership_record import SegmentContents, encode_record, scan_segment
from latentcrdt.store.object_store.bucket import Bucket

logger = logging.getLogger(__name__)

PREFIX = "log/"

UNION_SUFFIX = "-union"
"""Unions go into a log of their own: a large one must not hold up the commits of small ones."""

READERS = 16
"""Segments read at a time: most of a read is waiting for the first byte."""

ATTEMPTS = 5
"""Listings in a row that name a segment which is gone, before the listing is not believed."""

States = dict[StateName, LatentState]


class SharedLog:
    """Every state of a bucket, as far as this process has read, and the log that it writes."""

    def __init__(self, bucket: Bucket, boot: str) -> None:
        """``boot``: a name that no other process, past or future, has."""
        self._bucket = bucket
        self._boot = boot
        self._union_writer = boot + UNION_SUFFIX
        self._commits = GroupCommit(self._commit)
        self._sequences: dict[str, int] = {}
        self._doubtful: States = {}
        """What segments held whose write failed: not acknowledged, and perhaps there."""
        self._unreported: States = {}
        """What of that was written after all, and `tail` has yet to return."""
        self._tailing = threading.Lock()
        self._lock = threading.Lock()
        self._states: States = {}
        self._positions: dict[str, str] = {}
        """The key of the last segment of each writer whose content ``_states`` holds."""
        self._damaged: set[str] = set()
        self.num_bytes_passed_over = 0
        """Of the segments that were read: no record there that verifies."""
        self._appended: Counter[str] = Counter()
        """Segments read or written since the last union, by writer."""

    def merge(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into a state; durable on return, and not written if it was already."""
        with self._lock:
            known = self._states.get(name)
            if known is not None:
                if delta <= known:
                    return
                delta = delta.delta(known)
        self._commits.append(encode_record(name, delta))

    def states(self) -> States:
        """Return every state: copies."""
        with self._lock:
            return {name: state.copy() for name, state in self._states.items()}

    def has_member(self, fragment_id: FragmentId) -> bool:
        """Return whether any state has the fragment as a member."""
        with self._lock:
            return any(fragment_id in state for state in self._states.values())

    def members(self) -> set[FragmentId]:
        """Return the members of all states together."""
        with self._lock:
            return {fragment_id for state in self._states.values() for fragment_id in state}

    def count(self) -> tuple[int, int]:
        """Return how many segments were read or written since the last union, of how many writers.

        An opening would read the ones, a refresh ask for the others.
        """
        with self._lock:
            return self._appended.total(), len(self._appended)

    def tail(self) -> States:
        """Read what other writers have appended; return what was added to the states.

        All or nothing: after an error the next call reads the same again. What a failed write held
        is written first: others may see it already, and this process must come to see it too.
        """
        if self._doubtful:
            self._commits.append(b"")
        with self._tailing:
            segments = self._read_new()
            with self._lock:
                found, self._unreported = self._unreported, {}
                for key, contents in segments.items():
                    _merge(found, _merge(self._states, contents.states))
                    writer = _writer(key)
                    self._positions[writer] = max(key, self._positions.get(writer, ""))
                    self._appended[writer] += 1
                    if contents.num_bytes_skipped:
                        self._damaged.add(key)
                        self.num_bytes_passed_over += contents.num_bytes_skipped
        return found

    def write_union(self) -> dict[str, str]:
        """Write all states as one segment; return the last key, by writer, of what it covers."""
        with self._lock:
            covered = dict(self._positions)
            records = [encode_record(name, state) for name, state in self._states.items()]
        key = self._next_key(self._union_writer)
        self._bucket.put(key, b"".join(records))
        with self._lock:
            self._positions[self._union_writer] = key
            self._appended = Counter({self._union_writer: 1})
        logger.info("wrote the union of all segments, %d states, as %s", len(records), key)
        return covered

    def delete_covered(self, covered: Mapping[str, str]) -> None:
        """Delete what a union covers, except segments of which not every byte was understood."""
        for writer, last in covered.items():
            keys = [i.key for i in self._bucket.objects(f"{PREFIX}{writer}/") if i.key <= last]
            keys = [key for key in keys if key not in self._damaged]
            if keys:
                self._bucket.delete(keys)
                logger.info("deleted %d segments of %s that a union covers", len(keys), writer)

    def _commit(self, records: list[bytes]) -> None:
        key = self._next_key(self._boot)
        doubtful = b"".join(encode_record(*named) for named in self._doubtful.items())
        payload = doubtful + b"".join(records)
        contents = scan_segment(payload).states
        try:
            self._bucket.put(key, payload)
        except LatentCRDTError:
            self._doubtful = contents
            raise
        with self._lock:
            _merge(self._unreported, _merge(self._states, self._doubtful))
            _merge(self._states, contents)
            self._doubtful = {}
            self._positions[self._boot] = key
            self._appended[self._boot] += 1

    def _read_new(self) -> dict[str, SegmentContents]:
        for _ in range(ATTEMPTS):
            keys = self._list_new()
            with ThreadPoolExecutor(READERS) as pool:
                segments = dict(zip(keys, pool.map(self._read, keys), strict=True))
            found = {key: c for key, c in segments.items() if c is not None}
            if len(found) == len(segments):
                return found
            # Deleted since it was listed: the union that holds it is there by now.
        raise StoreFailedError(
            f"reading {PREFIX}: expected every segment listed, and {ATTEMPTS} times one was gone; "
            f"the service's listings lag behind its deletions"
        )

    def _list_new(self) -> list[str]:
        mine = {self._boot, self._union_writer}
        writers = set(self._bucket.folders(PREFIX))
        with self._lock:
            # A log that is gone is covered by a union, which is read like any segment.
            for ended in self._positions.keys() - writers - mine:
                del self._positions[ended]
            positions = dict(self._positions)
        return [
            key
            for writer in writers - mine
            for key in self._list_log(writer, positions.get(writer, ""))
        ]

    def _list_log(self, writer: str, after: str) -> list[str]:
        """Return the keys that follow a position, and none without those before it.

        A listing is no snapshot: written while it runs, a segment may be in it and its predecessor
        not. The predecessor was there first, so a second listing has it, unless its write failed
        or a union covers it.
        """
        keys = sorted(info.key for info in self._bucket.objects(f"{PREFIX}{writer}/", after=after))
        if not _has_gap([after, *keys] if after else keys):
            return keys
        again = self._bucket.objects(f"{PREFIX}{writer}/", after=after)
        return sorted(info.key for info in again if info.key <= keys[-1])

    def _read(self, key: str) -> SegmentContents | None:
        data = self._bucket.read(key)
        if data is None:
            return None
        contents = scan_segment(bytes(data))
        if contents.num_bytes_skipped:
            logger.warning(
                "passed over %d bytes of %s: no record there that verifies",
                contents.num_bytes_skipped,
                key,
            )
        return contents

    def _next_key(self, writer: str) -> str:
        sequence = self._sequences.get(writer, 0)
        self._sequences[writer] = sequence + 1
        return f"{PREFIX}{writer}/{sequence:012x}"


def _has_gap(keys: Sequence[str]) -> bool:
    """Return whether a number is left out among the sequences of these keys, which ascend."""
    return len(keys) > 0 and _sequence(keys[-1]) - _sequence(keys[0]) >= len(keys)


def _sequence(key: str) -> int:
    return int(key.rpartition("/")[2], 16)


def _writer(key: str) -> str:
    return key.split("/")[1]


def _merge(states: States, deltas: States) -> States:
    """Merge deltas into states; return what these gained by it."""
    gained: States = {}
    for name, delta in deltas.items():
        known = states.get(name)
        if known is not None and delta <= known:
            continue
        if known is None:
            known = states[name] = LatentState()
        gained[name] = delta.delta(known)
        known.merge(delta)
    return gained
