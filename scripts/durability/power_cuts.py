"""Power cut on real file systems: the device's bytes are copied at each acknowledgement.

What the kernel still held back is not in the copy. Each copy is mounted as after a power cut, the
file system recovers, the store opens, and everything acknowledged until then is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from pathlib import Path

from latentcrdt.core.state import LatentState
from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from scripts.durability.plants import planted
from scripts.durability.promises import Promises
from scripts.durability.row import Row
from scripts.durability.simulated import NAMES
from scripts.durability.volumes import (
    FILE_SYSTEMS,
    FileSystem,
    VolumeError,
    copy_image,
    make_image,
    mounted,
)

CONTROL = "no file is synced"
"""The planted bug that shows that this way of cutting the power loses things."""


def power_cuts(num_cuts: int) -> Iterator[Row]:
    """Cut the power after each of so many acknowledgements, on every file system there is."""
    for file_system in FILE_SYSTEMS:
        for plant in (None, CONTROL):
            where = file_system.name if plant is None else f"{file_system.name}, planted: {plant}"
            row = Row(
                "power cut at the acknowledgement",
                where,
                missing=file_system.missing,
                is_control=plant is not None,
            )
            if not row.missing:
                try:
                    _cut(file_system, row, num_cuts if plant is None else min(5, num_cuts), plant)
                except VolumeError as error:
                    row.missing = str(error)
            yield row


def _cut(file_system: FileSystem, row: Row, num_cuts: int, plant: str | None) -> None:
    fragments = {f.fragment_id: f for f in map(make_fragment, range(num_cuts))}
    promises, promised = Promises(), []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        image = place / "image"
        make_image(file_system, image)
        with (
            planted(plant) if plant else nullcontext(),
            mounted(file_system.name, str(image), file_system.mount_options, place / "at") as root,
            closing(Replica(DirectoryStore(root / "store"))) as replica,
        ):
            for number, (fragment_id, fragment) in enumerate(fragments.items()):
                delta = LatentState([fragment_id])
                promises.ask(NAMES[0], delta)
                replica.push(NAMES[0], fragment)
                promises.acknowledge(NAMES[0], delta)
                copy_image(image, place / f"cut-{number}")
                promised.append(deepcopy(promises))
        for number, then in enumerate(promised):
            copy = place / f"cut-{number}"
            with mounted(
                file_system.name, str(copy), file_system.mount_options, place / "at"
            ) as root:
                row.points += 1
                row.acknowledged += then.num_acknowledged
                try:
                    with closing(DirectoryStore(root / "store")) as store:
                        row.broken += then.broken(store, fragments)
                except LatentCRDTError as error:
                    row.broken.append(f"the store does not open: {error}")
            copy.unlink()
