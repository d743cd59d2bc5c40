from __future__ import annotations

import multiprocessing
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.render.golden import golden, rotations
from latentcrdt.render.numba_engine import NumbaEngine
from latentcrdt.render.torch_engine import TorchEngine
from latentcrdt.render.workers import SHARE_BYTES, Workers

ENGINES = [TorchEngine(), NumbaEngine()]


@given(st.integers(1, 5), st.integers(0, 100), st.integers(1, 40), st.integers(0, 9 * SHARE_BYTES))
def test_every_row_is_in_one_share(count, first, num_rows, num_bytes):
    shares = []
    Workers(count).share(range(first, first + num_rows), num_bytes, shares.append)
    assert sorted(row for share in shares for row in share) == [*range(first, first + num_rows)]
    assert len(shares) <= max(1, min(count, num_bytes // SHARE_BYTES))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shares_are_written_side_by_side():
    met = threading.Barrier(3)  # that a thread alone would wait at for ever
    Workers(3).share(range(3), 3 * SHARE_BYTES, lambda _: met.wait(timeout=60))


def test_renders_at_once_take_no_more_threads_than_one():
    workers, threads = Workers(2), set()

    def render():
        for _ in range(20):
            workers.share(range(8), 8 * SHARE_BYTES, lambda _: threads.add(threading.get_ident()))

    renders = [threading.Thread(target=render) for _ in range(4)]
    for thread in renders:
        thread.start()
    for thread in renders:
        thread.join()
    assert 1 <= len(threads) <= 2


def test_an_error_is_raised_when_no_share_is_being_written_any_more():
    failed, finished = threading.Event(), []

    def write(share):
        if share.start == 0:
            failed.set()
            raise ValueError("the first share")
        failed.wait()
        finished.append(share)

    with pytest.raises(ValueError, match="the first share"):
        Workers(2).share(range(2), 2 * SHARE_BYTES, write)
    assert finished == [range(1, 2)]


def test_torch_keeps_the_threads_that_it_was_given():
    def in_a_new_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        engine, working = TorchEngine(), []
        note = lambda _: working.append(torch.get_num_threads())  # noqa: E731
        engine._workers.share(range(3), 3 * SHARE_BYTES, note)
        assert set(working) == {1}
        assert torch.get_num_threads() == 3
        assert in_a_new_thread() == [3]
    finally:
        torch.set_num_threads(before)


def _rotate(engine, connection):
    connection.send(rotations(engine))


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_forked_child_has_workers_of_its_own(engine):
    assert rotations(engine) == golden()["rotate"]  # so that the parent's are running
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_rotate, args=(engine, there))
    child.start()
    there.close()
    assert here.poll(60)
    assert here.recv() == golden()["rotate"]
    child.join()
