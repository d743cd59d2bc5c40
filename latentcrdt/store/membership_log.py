"""Memberships on disk: append-only segments, one a boot, ``states/<boot>-<seq>.log``.

One log serves all states, so that one group commit does; the names of states stand in the records.
Segments are read whole at start-up and joined when they are many: the union is durable first, only
then are its inputs removed, and a crash in between leaves both, whose union is the same.
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFullError
from latentcrdt.store.disk import PIECE_BYTES, File
from latentcrdt.store.durability import Durability, io_errors
from latentcrdt.store.group_commit import GroupCommit
from latentcrdt.store.membership_record import encode_record, scan_segment

logger = logging.getLogger(__name__)

MAX_SEGMENTS = 4
"""Join them when there are more: an opening costs one file read each."""

MAX_RECORDS = 10_000
"""Beyond one a state: join them when there are more, for an opening spends 30 us on each."""

States = dict[StateName, LatentState]


class MembershipLog:
    """The segments of one store, and the one that this boot appends to."""

    def __init__(
        self, directory: Path, quarantine: Path, boot: str, durability: Durability
    ) -> None:
        """Open the log; ``directory`` and ``quarantine`` exist and are durable."""
        self._directory = directory
        self._quarantine = quarantine
        self._boot = boot
        self._durability = durability
        self._disk = durability.disk
        self._commits = GroupCommit(self._commit)
        self.num_bytes_passed_over = 0
        """Of the segments that were loaded: no record there that verifies."""
        self._num_segments = 0
        """Segments that this boot has named so far."""
        self._segment: File | None = None
        """The one appended to; None until something is, so that a mere reader leaves no file."""
        self._size = 0
        """Bytes of it that are whole records."""
        self._entry_is_durable = False

    def load(self) -> States:
        """Return the union of all segments; join them when they are many."""
        segments = self._find_segments()
        if segments:
            self._durability.sync_directory(self._directory)
        states: States = {}
        damaged = set()
        num_records = 0
        for path in segments:
            with io_errors(f"reading {path}"):
                found = scan_segment(self._read(path))
            if found.num_bytes_skipped:
                damaged.add(path)
                self.num_bytes_passed_over += found.num_bytes_skipped
                logger.warning(
                    "passed over %d bytes of %s: no record there that verifies",
                    found.num_bytes_skipped,
                    path,
                )
            num_records += found.num_records
            for name, state in found.states.items():
                states.setdefault(name, LatentState()).merge(state)
        if len(segments) > MAX_SEGMENTS or num_records - len(states) > MAX_RECORDS:
            self._compact(segments, damaged, states)
        return states

    def append(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into the state; durable on return."""
        self._commits.append(encode_record(name, delta))

    def close(self) -> None:
        """Close the segment; whatever was acknowledged is durable already."""
        with self._commits.turn:
            self._close_segment()

    def _find_segments(self) -> list[Path]:
        """Return the segments that are there, and clear what joining them left half-done."""
        with io_errors(f"listing {self._directory}"):
            paths = [self._directory / name for name in sorted(self._disk.list(self._directory))]
            for path in paths:
                if path.suffix == ".tmp":
                    self._disk.unlink(path)
        return [path for path in paths if path.suffix == ".log"]

    def _read(self, path: Path) -> bytes:
        """Return a segment's bytes, durable: what is known already is acknowledged unwritten.

        A process killed between write and sync leaves records that are seen, and do not last yet.
        """
        with closing(self._disk.open(path)) as file:
            self._durability.sync_file(file)
            data = bytearray()
            while piece := file.read(len(data), PIECE_BYTES):
                data += piece
            return bytes(data)

    def _commit(self, records: list[bytes]) -> None:
        self._durability.check()
        with io_errors(f"appending to the membership log in {self._directory}"):
            if self._segment is None:
                self._segment = self._disk.create(self._next_path())
                self._size = 0
                self._entry_is_durable = False
            self._append(self._segment, b"".join(records))

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _append(self, segment: File, data: bytes) -> None:
        try:
            segment.append(data)
            self._durability.sync_file(segment)
            if not self._entry_is_durable:
                self._durability.sync_directory(self._directory)
                self._entry_is_durable = True
        except OSError:
            self._cut_back(segment)
            raise
        self._size += len(data)

    def _cut_back(self, segment: File) -> None:
        """Remove what was not acknowledged: a torn record, or whole ones whose sync failed.

        The system goes on showing the latter; the next opening would take them for durable.
        """
        try:
            segment.truncate(self._size)
        except OSError:
            self._close_segment()  # the torn tail stays, to be passed over; go on in a new segment

    def _compact(self, segments: list[Path], damaged: set[Path], states: States) -> None:
        """Write the union, durably, then remove its inputs; damaged ones are kept aside."""
        union = self._next_path()
        try:
            self._write_segment(union, states)
        except StoreFullError as error:
            logger.warning("cannot join %d membership segments: %s", len(segments), error)
            return
        with io_errors(f"removing the inputs of {union}"):
            for path in segments:
                if path in damaged:
                    self._disk.rename(path, self._quarantine / path.name)
                else:
                    self._disk.unlink(path)
        logger.info("joined %d membership segments into %s", len(segments), union.name)

    def _write_segment(self, path: Path, states: States) -> None:
        temporary = path.with_suffix(".tmp")
        with io_errors(f"writing {temporary}"):
            with closing(self._disk.create(temporary)) as file:
                file.append(b"".join(encode_record(*named) for named in states.items()))
                self._durability.sync_file(file)
            self._disk.rename(temporary, path)
        self._durability.sync_directory(self._directory)

    def _next_path(self) -> Path:
        path = self._directory / f"{self._boot}-{self._num_segments:06d}.log"
        self._num_segments += 1
        return path
