"""Real disks that fill up: each push is taken, or refused as full and taken once there is room."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from latentcrdt.core.state import LatentState
from latentcrdt.errors import LatentCRDTError, StoreFullError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from scripts.durability.promises import Promises
from scripts.durability.row import Row
from scripts.durability.simulated import NAMES
from scripts.durability.volumes import FILE_SYSTEMS, VolumeError, make_image, missing, mounted

FAULT = "disk full during a push"

STEP = 4096
"""Bytes by which the room left for a push grows from one trial to the next: a block."""

NUM_STEPS = 24
"""The last of them leaves room for the whole fragment, which is 77 KB."""

TMPFS_OPTIONS = {"tmpfs": "size=4m", "tmpfs without inodes": "size=64m,nr_inodes=360"}


def full_disks() -> Iterator[Row]:
    """Fill up an ext4 and two tmpfs, from no room at all to room enough for one fragment."""
    with tempfile.TemporaryDirectory() as folder:
        ext4, image = FILE_SYSTEMS[0], Path(folder) / "image"
        row = Row(FAULT, f"{ext4.name}, {ext4.megabytes} MB", missing=ext4.missing)
        if not row.missing:
            make_image(ext4, image)
            _try(row, ext4.name, str(image), ext4.mount_options)
        yield row
    for name, options in TMPFS_OPTIONS.items():
        row = Row(FAULT, name, missing=missing())
        if not row.missing:
            _try(row, "tmpfs", "none", options)
        yield row


def _try(row: Row, kind: str, source: str, options: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(kind, source, options, Path(folder) / "at") as root:
                _fill(root, row, inodes="nr_inodes" in options)
        except VolumeError as error:
            row.missing = str(error)


def _fill(root: Path, row: Row, *, inodes: bool) -> None:
    fragments = {
        f.fragment_id: f for f in (make_fragment(n, seq_len=400) for n in range(NUM_STEPS))
    }
    promises = Promises()
    filler = root / "filler"
    filler.mkdir()
    refused = 0
    replica = Replica(DirectoryStore(root / "store"))
    for step, (fragment_id, fragment) in enumerate(fragments.items()):
        delta = LatentState([fragment_id])
        promises.ask(NAMES[0], delta)
        (_take_inodes if inodes else _take_room)(filler, step)
        row.points += 1
        try:
            replica.push(NAMES[0], fragment)
        except StoreFullError:
            refused += 1
        except LatentCRDTError as error:
            row.broken.append(f"answered {error.code}: {error}")
        for file in filler.iterdir():
            file.unlink()
        try:
            replica.push(NAMES[0], fragment)
        except LatentCRDTError as error:
            row.broken.append(f"there is room again, and yet: {error}")
        else:
            promises.acknowledge(NAMES[0], delta)
    replica.close()
    with closing(DirectoryStore(root / "store")) as store:
        row.broken += promises.broken(store, fragments)
    row.acknowledged = promises.num_acknowledged
    row.note = f"{refused} refused as full, then taken"


def _take_room(filler: Path, step: int) -> None:
    """Leave so many steps of room."""
    with (filler / "0").open("wb", buffering=0) as file:
        for size in (1 << 20, STEP):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        file.truncate(max(0, file.tell() // STEP * STEP - step * STEP))


def _take_inodes(filler: Path, step: int) -> None:
    """Leave so many inodes."""
    made: list[Path] = []
    try:
        while True:
            path = filler / str(len(made))
            path.touch()
            made.append(path)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    for path in made[:step]:
        path.unlink()
