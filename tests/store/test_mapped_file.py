"""From a view of a mapped file back to the file, and to no other."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from latentcrdt.store.mapped_file import open_behind
from latentcrdt.store.system_disk import SystemDisk
from tests.store.descriptors import descriptors

BYTES = bytes(range(256)) * 64


@pytest.fixture
def view(tmp_path: Path) -> memoryview:
    (tmp_path / "file").write_bytes(BYTES)
    with closing(SystemDisk().open(tmp_path / "file")) as file:
        return file.map()


@pytest.mark.parametrize(("start", "stop"), [(0, len(BYTES)), (1, 2), (4097, 9000)])
def test_a_view_is_found_in_its_file(view: memoryview, start: int, stop: int) -> None:
    found = open_behind(view[start:stop])
    assert found is not None
    descriptor, offset = found
    assert offset == start
    assert os.pread(descriptor, stop - start, offset) == view[start:stop]
    os.close(descriptor)


def test_memory_lies_in_no_file() -> None:
    assert open_behind(memoryview(b"abc")) is None


def test_a_file_that_was_removed_is_not_found(view: memoryview, tmp_path: Path) -> None:
    (tmp_path / "file").unlink()
    assert open_behind(view) is None
    assert view == BYTES


@pytest.mark.parametrize("kind", ["file", "link"])
def test_another_file_under_the_name_is_not_taken_for_it(
    view: memoryview, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "other").write_bytes(BYTES)
    (tmp_path / "file").unlink()
    if kind == "file":
        (tmp_path / "other").rename(tmp_path / "file")
    else:
        (tmp_path / "file").symlink_to("other")
    before = descriptors()
    assert open_behind(view) is None
    assert descriptors() == before
