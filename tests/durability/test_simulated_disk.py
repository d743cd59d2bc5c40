"""The simulated disk: harsh where real ones are, and the same `Disk` otherwise."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.disk import Disk, Kind
from latentcrdt.store.system_disk import SystemDisk
from latentcrdt.testing.simulation.disk import GoneError, SimulatedDisk
from latentcrdt.testing.store_suite import DurableStoreSuite

FILE = Path("/file")
SEEDS = range(40)


def after_power_cuts(disk: SimulatedDisk, seeds: range = SEEDS) -> list[SimulatedDisk]:
    return [disk.cut_power(Random(seed)) for seed in seeds]


def content(disk: Disk, path: Path = FILE) -> bytes | None:
    if disk.kind(path) is None:
        return None
    file = disk.open(path)
    return file.read(0, file.size)


class TestDirectoryStoreOnASimulatedDisk(DurableStoreSuite):
    """The same promises as on a real one, without faults."""

    @pytest.fixture(autouse=True)
    def _disk(self) -> None:
        self.disk = SimulatedDisk()

    def open_store(self, path: Path) -> DirectoryStore:
        return DirectoryStore(path, disk=self.disk)


def test_what_was_synced_is_there_and_its_name_too() -> None:
    disk = SimulatedDisk()
    file = disk.create(FILE)
    file.append(b"synced")
    file.sync()
    disk.sync_directory(FILE.parent)
    assert {content(left) for left in after_power_cuts(disk)} == {b"synced"}


def test_what_was_not_synced_comes_back_whole_cut_short_zeroed_or_not_at_all() -> None:
    disk = SimulatedDisk()
    file = disk.create(FILE)
    file.append(b"abc")
    file.append(b"def")
    left = {content(left) for left in after_power_cuts(disk, range(400))}
    assert {None, b"", b"ab", b"abc", b"abcdef", b"\0\0\0"} <= left


def test_a_synced_file_without_a_synced_name_can_be_lost() -> None:
    disk = SimulatedDisk()
    file = disk.create(FILE)
    file.append(b"synced")
    file.sync()
    assert {content(left) for left in after_power_cuts(disk)} == {b"synced", None}


def test_names_change_independently_and_a_rename_at_once() -> None:
    disk = SimulatedDisk()
    disk.create(Path("/a"))
    disk.sync_directory(Path("/"))
    disk.rename(Path("/a"), Path("/b"))
    disk.create(Path("/c"))
    left = {frozenset(left.list(Path("/"))) for left in after_power_cuts(disk)}
    assert left == {frozenset(names) for names in ("a", "b", "ac", "bc")}


def test_a_name_is_lost_with_the_directory_that_holds_it() -> None:
    disk = SimulatedDisk()
    disk.make_directory(Path("/d"))
    disk.create(Path("/d/f"))
    disk.sync_directory(Path("/d"))
    assert {left.kind(Path("/d")) for left in after_power_cuts(disk)} == {None, Kind.DIRECTORY}
    assert all(
        left.kind(Path("/d/f")) is Kind.FILE
        for left in after_power_cuts(disk)
        if left.kind(Path("/d"))
    )


def test_bytes_whose_sync_failed_are_shown_and_lost_even_if_a_later_sync_works() -> None:
    failures = iter([True, False])

    def fail_once(operation: str, path: Path) -> None:
        if operation == "sync" and next(failures):
            raise OSError(errno.EIO, "Input/output error")

    disk = SimulatedDisk(fail_once)
    file = disk.create(FILE)
    disk.sync_directory(FILE.parent)
    file.append(b"abc")
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.append(b"def")
    file.sync()
    assert content(disk) == b"abcdef"
    assert content(disk.cut_power(Random(0))) == b"\0\0\0def"


def test_a_killed_process_leaves_everything_and_can_do_nothing_more() -> None:
    disk = SimulatedDisk()
    file = disk.create(FILE)
    file.append(b"abc")
    after = disk.kill()
    assert content(after) == b"abc"
    for act in (lambda: file.append(b"d"), lambda: disk.create(Path("/x")), file.sync):
        with pytest.raises(GoneError):
            act()
    assert content(after) == b"abc"


calls = st.lists(
    st.tuples(
        st.sampled_from(["create", "link", "rename", "unlink", "make", "remove", "read", "list"]),
        st.sampled_from(["a", "b", "d", "d/a", "d/b"]),
        st.sampled_from(["a", "b", "d/a"]),
    ),
    max_size=12,
)


def outcome_of(disk: Disk, root: Path, call: str, first: str, second: str) -> object:
    """Return what a call returned, or the number of its error."""
    one, two = root / first, root / second
    kinds: dict[str, Kind | None] = {}
    answer: object = None
    try:
        kinds = {"one": disk.kind(one), "two": disk.kind(two)}
        match call:
            case "create":
                disk.create(one).append(b"new")
            case "link" if kinds["one"] is not Kind.DIRECTORY:
                disk.link(one, two)
            case "rename" if kinds["one"] is kinds["two"] is not Kind.DIRECTORY:
                disk.rename(one, two)
            case "unlink" if kinds["one"] is not Kind.DIRECTORY:
                disk.unlink(one)
            case "make":
                disk.make_directory(one)
            case "remove" if kinds["one"] is Kind.DIRECTORY:
                disk.remove_tree(one)
            case "read":
                file = disk.open(one)
                answer = (file.size, file.read(1, 2), bytes(file.map()))
            case "list":
                answer = disk.list(one)
    except OSError as error:
        answer = error.errno
    return answer, kinds


A_NAME_RENAMED_TO_ANOTHER_OF_THE_SAME_FILE = [
    ("create", "a", "a"),
    ("link", "a", "b"),
    ("rename", "a", "b"),
    ("create", "a", "a"),
]
"""Found by hypothesis: both names stay, so that the last call finds the first one taken."""


@given(calls)
@example(A_NAME_RENAMED_TO_ANOTHER_OF_THE_SAME_FILE)
def test_without_a_fault_it_answers_as_the_system_does(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, str]]
) -> None:
    real, simulated = SystemDisk(), SimulatedDisk()
    root = tmp_path_factory.mktemp("real")
    simulated_root = Path("/root")
    simulated.make_directory(simulated_root)
    for call in made:
        assert outcome_of(simulated, simulated_root, *call) == outcome_of(real, root, *call)
