from __future__ import annotations

import pytest
import torch

from latentcrdt.render import sharing
from latentcrdt.render.sharing import ALONE_FACTOR, GRAIN, SHARED_ELEMENTS, Sharing


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sharing, "time", clock)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return clock


def turn(advice, clock, seconds_per_element, elements=None):
    """One chunk, of the size that is advised; returns its size."""
    elements = elements or advice.elements()
    with advice.timed(elements):
        clock.now += elements * seconds_per_element
    return elements


def test_a_thread_works_alone_first_and_shares_while_that_is_faster(clock):
    advice = Sharing()
    assert turn(advice, clock, 2e-9) == GRAIN - 1
    assert [turn(advice, clock, 1e-9) for _ in range(5)] == [SHARED_ELEMENTS] * 5


def test_a_chunk_that_waited_for_a_core_costs_a_twentieth_at_most(clock):
    advice = Sharing()
    turn(advice, clock, 2e-9)
    lost, start = 0.0, clock.now
    while clock.now - start < 5:
        before = clock.now
        if turn(advice, clock, 2e-9 if advice.elements() < GRAIN else 60e-9) == SHARED_ELEMENTS:
            lost += clock.now - before
    assert 0 < lost <= 5 / ALONE_FACTOR + SHARED_ELEMENTS * 60e-9


def test_sharing_is_resumed_when_the_cores_are_idle_again(clock):
    advice = Sharing()
    turn(advice, clock, 2e-9)
    turn(advice, clock, 60e-9)
    assert turn(advice, clock, 2e-9) == GRAIN - 1
    clock.now += ALONE_FACTOR
    assert [turn(advice, clock, 1e-9) for _ in range(3)] == [SHARED_ELEMENTS] * 3


def test_small_chunks_say_nothing_of_speed(clock):
    advice = Sharing()
    turn(advice, clock, 1e-6, elements=100)
    assert advice.elements() == GRAIN - 1
    turn(advice, clock, 2e-9)
    turn(advice, clock, 1e-6, elements=100)
    turn(advice, clock, 3e-9)  # shared, and slower than alone
    assert advice.elements() == GRAIN - 1


def test_a_single_thread_takes_large_chunks_that_nobody_shares(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert Sharing().elements() > GRAIN
