"""A directory store of many small real fragments and many states, filled in a hurry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary
from latentcrdt.render.sort_key import sort_key
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.system_disk import SystemDisk, SystemFile
from latentcrdt.testing.fragments import make_geometry

NUM_CLASSES = 4
"""Of the fragments: a plan holds fifty thousand at most."""


class HastyDisk(SystemDisk):
    """Syncs nothing: for a store that nobody will miss."""

    def create(self, path: Path) -> SystemFile:
        """Create a file whose sync does nothing."""
        return _HastyFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)

    def sync_directory(self, path: Path) -> None:
        """Do nothing."""


class _HastyFile(SystemFile):
    __slots__ = ()

    def sync(self) -> None:
        """Do nothing."""


def fill(data: Path, num_fragments: int, num_states: int, sizes: tuple[int, ...]) -> None:
    """Make a store with a state of each of these sizes, and others of one member."""
    store = DirectoryStore(data, disk=HastyDisk())
    ids = []
    for fragment in make_fragments(num_fragments):
        with store.put(max_bytes=1 << 20) as upload:
            upload.write(fragment.framing)
            upload.write(fragment.body)
            upload.publish()
        store.keep_summary(Summary.of(fragment.header, sort_key(fragment)))
        ids.append(fragment.fragment_id)
    for size in sizes:
        store.merge(of_size(size), LatentState(ids[:size]))
    for number in range(num_states):
        member = ids[number % num_fragments]
        store.merge(StateName(f"small-{number:06d}"), LatentState([member]))
    store.close()


def make_fragments(count: int, *, first: int = 0) -> Iterator[Fragment]:
    """Yield small real fragments of several classes, each of other content."""
    geometries = [
        make_geometry(num_layers=2, num_kv_heads=1, model_id=f"bench-model@{number}")
        for number in range(NUM_CLASSES)
    ]
    for number in range(first, first + count):
        seed = digest(number.to_bytes(8, "little"))
        # Eight bf16 numbers a row; the mask keeps exponents small, and the numbers finite.
        row = bytes(b & 0x3F if i % 2 else b for i, b in enumerate(seed[:16]))
        yield Fragment.build(geometries[number % NUM_CLASSES], [(row, row)] * 2, start=0, seq_len=1)


def of_size(size: int) -> StateName:
    """Return the name of the state that was filled with so many."""
    return StateName(f"state-of-{size}")
