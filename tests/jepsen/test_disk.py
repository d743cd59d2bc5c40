"""Small disks: full when they are filled, and gone when whoever made them is."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.jepsen.disk import SmallDisk, unmount_abandoned, why_unavailable


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)


def test_a_full_disk_takes_nothing_until_it_is_freed(tmp_path: Path):
    disk = SmallDisk(tmp_path / "disk")
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left") as full:
            (tmp_path / "disk" / "file").write_bytes(b"x" * 8192)
        assert full.value.errno == errno.ENOSPC
        disk.free()
        (tmp_path / "disk" / "file").write_bytes(b"x" * 8192)
    finally:
        disk.unmount()
    assert not any((tmp_path / "disk").iterdir())


def test_disks_of_a_run_that_was_killed_are_taken_away_and_no_others(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    SmallDisk(tmp_path / "abandoned disk", owner=ended.pid)
    ours = SmallDisk(tmp_path / "ours")
    try:
        unmount_abandoned()
        assert not (tmp_path / "abandoned disk").is_mount()
        assert (tmp_path / "ours").is_mount()
    finally:
        ours.unmount()
