from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from latentcrdt.client.side_by_side import Stop, StoppableIntake, side_by_side

NUM_THREADS = 3


def running(*functions):
    """Run functions of a stop in place of flows."""
    return side_by_side(lambda function, stop: function(stop), functions, NUM_THREADS, Stop())


def until_stopped(begun: threading.Event, ended: list[str]):
    """Take bytes as a long download does, until somebody ends it."""

    def run(stop: Stop) -> None:
        intake = StoppableIntake(SimpleNamespace(feed=lambda _: begun.set()), stop)
        deadline = time.monotonic() + 20
        try:
            while time.monotonic() < deadline:
                intake.feed(b"x")
        except CancelledError:
            ended.append("stopped")
            raise

    return run


def test_results_come_in_the_order_of_the_flows():
    """The last begins first: each waits for the one behind it."""
    turns = [threading.Event() for _ in range(NUM_THREADS + 1)]
    turns[-1].set()

    def flow(i):
        def run(_stop):
            assert turns[i + 1].wait(10)
            turns[i].set()
            return i

        return run

    assert running(*map(flow, range(NUM_THREADS))) == list(range(NUM_THREADS))


def test_the_first_that_fails_ends_the_others_and_is_what_is_raised():
    begun, ended = threading.Event(), []

    def fails(_stop):
        assert begun.wait(10)
        raise KeyError("the first")

    with pytest.raises(KeyError, match="the first"):
        running(until_stopped(begun, ended), fails, until_stopped(begun, ended))
    assert ended == ["stopped"] * 2


def test_an_interrupt_of_the_caller_ends_them_all(monkeypatch):
    begun, ended = threading.Event(), []

    def interrupted(*_args, **_options):
        assert begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr("latentcrdt.client.side_by_side.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running(*[until_stopped(begun, ended)] * 2)
    assert ended == ["stopped"] * 2


def test_the_end_of_a_group_is_the_end_of_the_groups_within():
    outer = Stop()
    inner = Stop(outer)
    inner.check()
    outer.set()
    with pytest.raises(CancelledError):
        inner.check()


def test_the_end_of_a_group_is_not_the_end_of_the_one_around_it():
    outer = Stop()
    Stop(outer).set()
    outer.check()


def test_those_that_wait_for_a_thread_are_not_begun_after_an_error():
    begun: list[int] = []

    def counted(stop):
        stop.check()
        begun.append(1)

    def fails(stop):
        raise KeyError

    with pytest.raises(KeyError):
        running(*[fails] * NUM_THREADS, *[counted] * 50)
    assert len(begun) < 50
