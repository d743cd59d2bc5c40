"""Memberships on disk: append-only segments, one a boot, ``states/<boot>-<seq>.log``.

One log serves all states, so that one group commit does; the names of states stand in the records.
Segments are read whole at start-up and joined when they are many: the union is durable first, only
then are its inputs removed, and a crash in between leaves both, whose union is the same.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFullError
from latentcrdt.store.durability import Durability, io_errors, write_all
from latentcrdt.store.group_commit import GroupCommit
from latentcrdt.store.membership_record import encode_record, scan_segment

logger = logging.getLogger(__name__)

MAX_SEGMENTS = 4
"""Join them when there are more: an opening costs one file read each."""

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
        self._commits = GroupCommit(self._commit)
        self._num_segments = 0
        """Segments that this boot has named so far."""
        self._path = directory
        self._fd = -1
        """The segment appended to; -1 until something is, so that a mere reader leaves no file."""
        self._size = 0
        """Bytes of it that are whole records."""
        self._entry_is_durable = False

    def load(self) -> States:
        """Return the union of all segments; join them when they are many."""
        for leftover in self._directory.glob("*.tmp"):
            leftover.unlink()
        states: States = {}
        damaged = set()
        segments = sorted(self._directory.glob("*.log"))
        for path in segments:
            with io_errors(f"reading {path}"):
                found = scan_segment(path.read_bytes())
            if found.num_bytes_skipped:
                damaged.add(path)
                logger.warning(
                    "passed over %d bytes of %s: no record there that verifies",
                    found.num_bytes_skipped,
                    path,
                )
            for name, state in found.states.items():
                states.setdefault(name, LatentState()).merge(state)
        if len(segments) > MAX_SEGMENTS:
            self._compact(segments, damaged, states)
        return states

    def append(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into the state; durable on return."""
        self._commits.append(encode_record(name, delta))

    def close(self) -> None:
        """Close the segment; whatever was acknowledged is durable already."""
        with self._commits.turn:
            self._close_segment()

    def _commit(self, records: list[bytes]) -> None:
        self._durability.check()
        with io_errors(f"appending to the membership log in {self._directory}"):
            if self._fd < 0:
                self._open_segment()
            self._append(b"".join(records))
        self._durability.sync_file(self._fd, self._path)
        if not self._entry_is_durable:
            self._durability.sync_directory(self._directory)
            self._entry_is_durable = True

    def _open_segment(self) -> None:
        self._path = self._next_path()
        self._fd = _create(self._path)
        self._size = 0
        self._entry_is_durable = False

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError:
            self._drop_torn_tail()
            raise
        self._size += len(data)

    def _drop_torn_tail(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
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
                    path.rename(self._quarantine / path.name)
                else:
                    path.unlink()
        logger.info("joined %d membership segments into %s", len(segments), union.name)

    def _write_segment(self, path: Path, states: States) -> None:
        temporary = path.with_suffix(".tmp")
        with io_errors(f"writing {temporary}"):
            fd = _create(temporary)
            try:
                write_all(fd, b"".join(encode_record(*named) for named in states.items()))
                self._durability.sync_file(fd, temporary)
            finally:
                os.close(fd)
            temporary.rename(path)
        self._durability.sync_directory(self._directory)

    def _next_path(self) -> Path:
        path = self._directory / f"{self._boot}-{self._num_segments:06d}.log"
        self._num_segments += 1
        return path


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)
