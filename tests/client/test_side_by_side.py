from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from queue import SimpleQueue

import pytest

from latentcrdt.client import side_by_side as module
from latentcrdt.client.gate import Gate
from latentcrdt.client.side_by_side import side_by_side
from tests.client.conftest import flows_ended

NUM_THREADS = 3


def running(*functions):
    """Run functions of a gate in place of flows."""
    return side_by_side(lambda function, gate: function(gate), functions, NUM_THREADS, Gate())


def until_stopped(begun: threading.Event, effects: list[float]):
    """Have effects as a long download does, until somebody ends it."""

    def run(gate: Gate) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with gate.passing():
                begun.set()
                effects.append(time.monotonic())

    return run


def assert_no_more(effects: list[float]) -> None:
    num_effects = len(effects)
    flows_ended()
    assert len(effects) == num_effects > 0


def test_results_come_in_the_order_of_the_flows():
    """The last ends first: each waits for the one behind it."""
    turns = [threading.Event() for _ in range(NUM_THREADS + 1)]
    turns[-1].set()

    def flow(i):
        def run(_gate):
            assert turns[i + 1].wait(10)
            turns[i].set()
            return i

        return run

    assert running(*map(flow, range(NUM_THREADS))) == list(range(NUM_THREADS))


def test_more_flows_than_threads_all_run():
    assert running(*[lambda _gate, i=i: i for i in range(50)]) == list(range(50))


def test_no_more_run_at_once_than_there_are_threads():
    inside, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(NUM_THREADS, timeout=20)

    def flow(number):
        def run(_gate):
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            if number < NUM_THREADS:
                together.wait()
            time.sleep(0.005)
            with lock:
                inside -= 1

        return run

    running(*map(flow, range(20)))
    assert most == NUM_THREADS


def test_nothing_is_begun_after_a_failure():
    """Also by a single thread, which need not wait for the caller to hear of it."""
    begun = []

    def fails(_gate):
        raise KeyError

    with pytest.raises(KeyError):
        side_by_side(lambda f, gate: f(gate), [fails, *[begun.append] * 99], 1, Gate())
    flows_ended()
    assert begun == []


def test_the_first_that_fails_ends_the_others_and_is_what_is_raised():
    begun, effects = threading.Event(), []

    def fails(_gate):
        assert begun.wait(10)
        raise KeyError("the first")

    with pytest.raises(KeyError, match="the first"):
        running(until_stopped(begun, effects), fails, until_stopped(begun, effects))
    assert_no_more(effects)


def test_one_that_is_stopped_is_never_the_one_that_failed():
    def fails(_gate):
        raise KeyError("the first")

    def passes(gate):
        with gate.passing():
            pass

    for _ in range(50):
        with pytest.raises(KeyError, match="the first"):
            running(fails, *[passes] * 100)


def test_an_interrupt_of_the_caller_ends_them_all(monkeypatch):
    begun, effects = threading.Event(), []

    class Interrupted(SimpleQueue):
        def get(self):
            assert begun.wait(10)
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "SimpleQueue", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        running(*[until_stopped(begun, effects)] * 2)
    assert_no_more(effects)


def test_a_flow_that_waits_for_a_silent_server_holds_nobody_up():
    silent, begun, error = threading.Event(), threading.Event(), []

    def waits(gate):
        begun.set()
        assert silent.wait(20)
        try:
            with gate.passing():
                pass
        except CancelledError:
            error.append("stopped")

    def fails(_gate):
        assert begun.wait(10)
        raise KeyError

    with pytest.raises(KeyError):
        running(waits, fails)
    assert not error
    silent.set()
    flows_ended()
    assert error == ["stopped"]


# The gate.


def test_whoever_closes_a_gate_waits_for_those_inside():
    gate, inside, leave, ended = Gate(), threading.Event(), threading.Event(), []

    def pass_by():
        with gate.passing():
            inside.set()
            assert leave.wait(10)
            ended.append(True)

    def let_go():
        time.sleep(0.05)
        leave.set()

    threads = [threading.Thread(target=f) for f in (pass_by, let_go)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    gate.close()
    assert ended == [True]
    for thread in threads:
        thread.join()


def test_no_one_passes_a_closed_gate_or_one_within_it():
    outer = Gate()
    inner = Gate(outer)
    with inner.passing():
        pass
    outer.close()
    for gate in (outer, inner):
        with pytest.raises(CancelledError), gate.passing():
            pass


def test_a_closed_gate_leaves_the_one_around_it_open():
    outer = Gate()
    inner = Gate(outer)
    inner.close()
    with pytest.raises(CancelledError), inner.passing():
        pass
    with outer.passing():
        pass
    outer.close()  # which would wait for ever for one that counts as inside
