from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError, StoreFullError
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.group_commit import GroupCommit
from latentcrdt.testing.fragments import make_fragment


class Gate:
    """A commit that waits until it is let through, and tells when one has begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[bytes]] = []
        self.begun = threading.Semaphore(0)
        self.open = threading.Semaphore(0)
        self.error = error

    def __call__(self, records: list[bytes]) -> None:
        self.batches.append(records)
        self.begun.release()
        assert self.open.acquire(timeout=10)
        if self.error is not None:
            raise self.error


def wait_until_gathered(commits: GroupCommit, count: int) -> None:
    while True:
        with commits._lock:
            if len(commits._gathering.records) == count:
                return


def test_appends_that_come_during_a_commit_share_the_next_one() -> None:
    gate = Gate()
    commits = GroupCommit(gate)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(commits.append, b"first")
        assert gate.begun.acquire(timeout=10)
        others = [pool.submit(commits.append, b"%d" % n) for n in range(8)]
        wait_until_gathered(commits, 8)
        assert not any(future.done() for future in (first, *others))
        gate.open.release(2)
        for future in (first, *others):
            future.result(timeout=10)
    assert [len(batch) for batch in gate.batches] == [1, 8]
    assert sorted(gate.batches[1]) == [b"%d" % n for n in range(8)]


@pytest.mark.parametrize("error", [StoreFullError("no room", limit=3), StoreFailedError("broken")])
def test_every_member_of_a_failed_batch_is_told(error: StoreFullError | StoreFailedError) -> None:
    gate = Gate()
    commits = GroupCommit(gate)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.append, b"first")
        assert gate.begun.acquire(timeout=10)
        others = [pool.submit(commits.append, b"other") for _ in range(3)]
        wait_until_gathered(commits, 3)
        gate.open.release()
        first.result(timeout=10)
        gate.error = error
        gate.open.release()
        for future in others:
            with pytest.raises(type(error), match=str(error)) as caught:
                future.result(timeout=10)
            assert caught.value.details == error.details


def test_a_commit_that_breaks_off_is_no_acknowledgement_for_followers() -> None:
    gate = Gate()
    commits = GroupCommit(gate)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.append, b"first")
        assert gate.begun.acquire(timeout=10)
        others = [pool.submit(commits.append, b"other") for _ in range(3)]
        wait_until_gathered(commits, 3)
        gate.open.release()
        first.result(timeout=10)
        gate.error = ZeroDivisionError()
        gate.open.release()
        errors = {type(future.exception(timeout=10)) for future in others}
    assert errors == {ZeroDivisionError, StoreFailedError}
    gate.error = None
    gate.open.release()
    commits.append(b"later")
    assert gate.batches[-1] == [b"later"]


def test_a_leader_that_is_interrupted_while_waiting_leaves_no_batch_without_one() -> None:
    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            raise AssertionError

    committed: list[bytes] = []
    commits = GroupCommit(committed.extend)
    turn = commits.turn
    commits.turn = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        commits.append(b"never")
    commits.turn = turn
    commits.append(b"later")
    assert committed == [b"later"]


def test_concurrent_inserts_take_fewer_syncs_and_all_of_them_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path)
    name = StateName("a")
    store.merge(name, LatentState())
    ids = [make_fragment(seed).fragment_id for seed in range(64)]
    all_there = threading.Barrier(16)
    syncs: list[int] = []
    real = os.fdatasync

    def counted(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    def insert(start: int) -> None:
        all_there.wait(timeout=10)
        for fragment_id in ids[start::16]:
            store.merge(name, LatentState([fragment_id]))

    with monkeypatch.context() as patch, ThreadPoolExecutor(16) as pool:
        patch.setattr(os, "fdatasync", counted)
        list(pool.map(insert, range(16)))
    store.close()
    assert 0 < len(syncs) < len(ids)
    again = DirectoryStore(tmp_path)
    assert again.states() == {name: LatentState(ids)}
    again.close()
