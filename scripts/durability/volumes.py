"""File systems of our own, to fill up or to cut off: loop images and tmpfs. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class VolumeError(Exception):
    """Raised when this machine does not make or mount what was asked, as in most containers."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A kind of file system that can be made in an image file."""

    name: str
    megabytes: int
    """Size of the image: near the smallest that mkfs accepts."""
    mount_options: str = "loop"

    @property
    def missing(self) -> str:
        """Why it cannot be used here; empty when it can."""
        if shutil.which(f"mkfs.{self.name}") is None:
            return f"mkfs.{self.name} is not installed"
        return missing()


FILE_SYSTEMS = (
    FileSystem("ext4", 48),
    FileSystem("xfs", 320, "loop,nouuid"),  # two images of one origin have one uuid
    FileSystem("btrfs", 128),
)


def missing() -> str:
    """Return why nothing can be mounted here; empty when it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    return "" if Path("/dev/loop-control").exists() else "there are no loop devices"


def make_image(file_system: FileSystem, path: Path) -> None:
    """Make a sparse image file with an empty file system."""
    with path.open("wb") as file:
        file.truncate(file_system.megabytes << 20)
    _run(f"mkfs.{file_system.name}", "-q", str(path))


def copy_image(source: Path, target: Path) -> None:
    """Copy what the device holds at this moment; holes stay holes."""
    _run("cp", "--sparse=always", str(source), str(target))


@contextmanager
def mounted(kind: str, source: str, options: str, at: Path) -> Iterator[Path]:
    """Mount a file system, and unmount it at the end of the block."""
    at.mkdir(exist_ok=True)
    _run("mount", "-t", kind, "-o", options, source, str(at))
    try:
        yield at
    finally:
        _run("umount", str(at))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason, _, _ = done.stderr.strip().partition("\n")
        raise VolumeError(reason or command[0])
