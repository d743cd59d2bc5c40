"""Try what a directory store needs of a file system, in the directory itself; nothing stays.

Whether a sync reaches the disk no program can see: that takes a power cut.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from latentcrdt.errors import StoreFailedError
from latentcrdt.store.promises import Promise, Trial, try_all
from latentcrdt.store.system_disk import SystemDisk

CONTENT = bytes(range(256)) * 64

IN_MEMORY = {"tmpfs", "ramfs"}


def probe_directory(directory: Path) -> Iterator[Promise]:
    """Try everything in a directory that exists, and clear away what was written for it."""
    disk = SystemDisk()
    folder = directory / f".probe-{secrets.token_hex(8)}"
    disk.make_directory(folder)
    try:
        yield from try_all(_Attempt(disk, folder).trials())
    finally:
        disk.remove_tree(folder)


class _Attempt:
    """Trials in one folder; each returns how the promise is broken, or None."""

    def __init__(self, disk: SystemDisk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder

    def trials(self) -> list[Trial]:
        return [
            ("it is on a disk, not in memory", True, self._on_disk),
            ("files and directories are synced", True, self._synced),
            ("a name that is taken is not given again", True, self._link),
            ("a lock keeps a second process out", True, self._lock),
            ("what is mapped outlives its name", True, self._map),
        ]

    def _on_disk(self) -> str | None:
        kind = _file_system(self._folder)
        return f"it is on {kind}, which a restart empties" if kind in IN_MEMORY else None

    def _synced(self) -> str | None:
        file = self._disk.create(self._folder / "synced")
        try:
            file.append(CONTENT)
            file.sync()
        finally:
            file.close()
        self._disk.sync_directory(self._folder)
        return None

    def _link(self) -> str | None:
        names = [self._folder / "first", self._folder / "second"]
        for name in names:
            self._disk.create(name).close()
        try:
            self._disk.link(*names)
        except FileExistsError:
            return None
        return "it was"

    def _lock(self) -> str | None:
        lock = self._folder / "lock"
        with self._disk.hold_lock(lock):
            try:
                with self._disk.hold_lock(lock):
                    return "it was held twice"
            except StoreFailedError:
                return None

    def _map(self) -> str | None:
        file = self._disk.create(self._folder / "mapped")
        try:
            file.append(CONTENT)
            mapped = file.map()
        finally:
            file.close()
        self._disk.unlink(file.path)
        return None if mapped == CONTENT else "other bytes were read"


def _file_system(path: Path) -> str | None:
    """Return the kind of file system that a path is on, where the system tells."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    except OSError:
        return None
    found = ("", "")
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split(" ")
        if path.resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]
