"""A small file system of its own for one server, which can be filled and freed."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from pathlib import Path

DISK_BYTES = 64 << 20
"""Room for ten thousand of the workload's fragments, a page or two each."""


SOURCE = "latentcrdt-jepsen-"
"""What is mounted, with the process id of the run: /proc/mounts shows whose it is."""


class SmallDisk:
    """A tmpfs; what is on it is gone when it is unmounted."""

    def __init__(self, path: Path, owner: int | None = None) -> None:
        """Mount it at a directory that is made for it; raises OSError with the reason.

        ``owner`` is the process that is to unmount it, by default this one.
        """
        path.mkdir(parents=True)
        self._path = path
        options = f"size={DISK_BYTES},mode=0700"
        source = f"{SOURCE}{os.getpid() if owner is None else owner}"
        command = ["mount", "-t", "tmpfs", "-o", options, source, str(path)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            raise OSError(" ".join(mounted.stderr.split()))

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self._path / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give it back."""
        (self._path / "ballast").unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take the file system away; no process may use it any more."""
        subprocess.run(["umount", str(self._path)], check=True)


def unmount_abandoned() -> None:
    """Take away the disks of runs that were killed, unless a server of theirs is still running."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, path, *_ = line.split()
        owner = source.removeprefix(SOURCE)
        if owner != source and not Path("/proc", owner).exists():
            subprocess.run(["umount", path.encode().decode("unicode_escape")], check=False)


def why_unavailable() -> str | None:
    """Return why this machine does not let us mount small disks; None if it does."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            SmallDisk(Path(directory) / "probe").unmount()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"no disk can be filled here: {error}"
    return None
