from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core import delta
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import (
    InvalidStateNameError,
    StoreFullError,
    UnsupportedVersionError,
)
from latentcrdt.store import membership_log
from latentcrdt.store.durability import Durability
from latentcrdt.store.membership_log import MembershipLog
from latentcrdt.store.membership_record import MAGIC, encode_record, scan_segment
from latentcrdt.store.system_disk import SystemDisk
from latentcrdt.testing.strategies import state_names, states

A, B = StateName("a"), StateName("b")


def ids(*numbers: int) -> LatentState:
    return LatentState(FragmentId(number.to_bytes(32, "big")) for number in numbers)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "states").mkdir()
    (tmp_path / "quarantine").mkdir()
    return tmp_path


def open_log(root: Path, boot: str = "boot") -> MembershipLog:
    return MembershipLog(root / "states", root / "quarantine", boot, Durability(SystemDisk()))


def segments(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "states").iterdir())


@given(st.lists(st.tuples(state_names(), states()), max_size=6))
def test_a_segment_says_the_join_of_its_records(
    records: list[tuple[StateName, LatentState]],
) -> None:
    expected: dict[StateName, LatentState] = {}
    for name, state in records:
        expected.setdefault(name, LatentState()).merge(state)
    found = scan_segment(b"".join(encode_record(*record) for record in records))
    assert (found.states, found.num_bytes_skipped) == (expected, 0)


def test_a_tail_torn_at_any_byte_costs_only_the_last_record() -> None:
    whole, last = encode_record(A, ids(1)), encode_record(B, ids(2, 3))
    for cut in range(len(last)):
        found = scan_segment(whole + last[:cut])
        assert found.states == {A: ids(1)}
        assert found.num_bytes_skipped == cut


def test_records_after_a_torn_one_are_found_again() -> None:
    torn, following = encode_record(A, ids(1)), encode_record(B, ids(2))
    for cut in range(1, len(torn)):
        found = scan_segment(torn[:cut] + following)
        assert found.states == {B: ids(2)}
        assert found.num_bytes_skipped == cut


def test_a_flipped_bit_anywhere_costs_only_its_record() -> None:
    first, middle, last = (encode_record(A, ids(n)) for n in (1, 2, 3))
    for position in range(len(middle)):
        damaged = bytearray(middle)
        damaged[position] ^= 0x10
        found = scan_segment(first + damaged + last)
        assert found.states == {A: ids(1, 3)}
        assert found.num_bytes_skipped == len(middle)


def test_an_id_that_contains_the_magic_confuses_nothing() -> None:
    tricky = FragmentId(MAGIC * 8)
    record = encode_record(A, LatentState([tricky]))
    assert scan_segment(record + record[:-1] + record).states == {A: LatentState([tricky])}


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_scan(noise: bytes) -> None:
    found = scan_segment(noise + encode_record(A, ids(1)))
    assert found.states == {A: ids(1)}
    assert found.num_bytes_skipped == len(noise)


def test_a_record_of_a_later_version_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(delta, "VERSION", 2)
        record = encode_record(A, ids(1))
    with pytest.raises(UnsupportedVersionError):
        scan_segment(record)


def test_an_illegal_state_name_is_never_read_from_the_disk() -> None:
    record = encode_record("../up", ids(1))  # type: ignore[arg-type]
    with pytest.raises(InvalidStateNameError):
        scan_segment(record)


def test_a_torn_tail_on_disk_is_reported_in_bytes(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn = encode_record(B, ids(2))[:-3]
    (root / "states" / "old-000000.log").write_bytes(encode_record(A, ids(1)) + torn)
    with caplog.at_level(logging.WARNING):
        assert open_log(root).load() == {A: ids(1)}
    assert f"passed over {len(torn)} bytes" in caplog.text


def test_one_boot_writes_one_segment_and_a_reader_none(root: Path) -> None:
    reader = open_log(root, "reader")
    reader.load()
    reader.close()
    assert segments(root) == []
    writer = open_log(root, "writer")
    for number in range(5):
        writer.append(A, ids(number))
    writer.close()
    assert segments(root) == ["writer-000000.log"]
    assert open_log(root).load() == {A: ids(*range(5))}


def write_segments(root: Path, count: int) -> None:
    for number in range(count):
        log = open_log(root, f"boot{number}")
        log.append(A, ids(number))
        log.append(StateName(f"s{number}"), LatentState())
        log.close()


def test_many_segments_are_joined_into_one(root: Path) -> None:
    count = membership_log.MAX_SEGMENTS + 1
    write_segments(root, count)
    before = {A: ids(*range(count))} | {StateName(f"s{n}"): LatentState() for n in range(count)}
    log = open_log(root, "joiner")
    assert log.load() == before
    assert segments(root) == ["joiner-000000.log"]
    log.append(B, ids(7))
    log.close()
    assert segments(root) == ["joiner-000000.log", "joiner-000001.log"]
    assert open_log(root, "reader").load() == before | {B: ids(7)}


class CrashedError(BaseException):
    """Stands for the end of the process: nothing may catch it and tidy up."""


class CrashingCalls:
    """Lets the calls that change a disk through, up to a number of them; then all crash."""

    def __init__(self, patch: pytest.MonkeyPatch, allowed: int) -> None:
        self.left = allowed
        self.crashed = False
        for name in ("write", "fdatasync", "fsync", "rename", "unlink"):
            patch.setattr(os, name, self.guarded(getattr(os, name)))

    def guarded(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            self.crashed = self.crashed or self.left == 0
            if self.crashed:
                raise CrashedError
            self.left -= 1
            return real(*args, **kwargs)

        return call


def test_a_crash_anywhere_while_joining_loses_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = membership_log.MAX_SEGMENTS + 1
    write_segments(root, count)
    expected = {A: ids(*range(count))} | {StateName(f"s{n}"): LatentState() for n in range(count)}
    for allowed in itertools.count():
        trial = root / f"trial{allowed}"
        shutil.copytree(root / "states", trial / "states")
        (trial / "quarantine").mkdir()
        with monkeypatch.context() as patch, contextlib.suppress(CrashedError):
            calls = CrashingCalls(patch, allowed)
            open_log(trial, "crashing").load()
        assert open_log(trial, "survivor").load() == expected
        if not calls.crashed:
            break
        assert [name for name in segments(trial) if name.endswith(".tmp")] == []
    # fsync and fdatasync of every input, since a killed process may not have come to that; then
    # write, fdatasync, rename, fsync; then one removal for each input
    assert allowed == 1 + count + 4 + count
    assert segments(trial) == ["crashing-000000.log"]


def test_damaged_inputs_of_joining_are_kept_aside(root: Path) -> None:
    write_segments(root, membership_log.MAX_SEGMENTS)
    damaged = encode_record(B, ids(9)) + b"damage"
    (root / "states" / "old-000000.log").write_bytes(damaged)
    open_log(root, "joiner").load()
    assert segments(root) == ["joiner-000000.log"]
    assert (root / "quarantine" / "old-000000.log").read_bytes() == damaged


def test_a_full_disk_keeps_the_log_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(root)
    log.append(A, ids(1))
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        real(fd, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StoreFullError):
            log.append(A, ids(2))
    (segment,) = (root / "states").iterdir()
    assert segment.read_bytes() == encode_record(A, ids(1))
    log.append(A, ids(3))
    log.close()
    assert open_log(root).load() == {A: ids(1, 3)}


def test_a_torn_tail_that_cannot_be_removed_is_left_behind(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(root)
    log.append(A, ids(1))
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        real(fd, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreFullError):
            log.append(A, ids(2))
    log.append(A, ids(3))
    log.close()
    assert segments(root) == ["boot-000000.log", "boot-000001.log"]
    assert open_log(root).load() == {A: ids(1, 3)}
