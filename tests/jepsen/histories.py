"""Histories by hand, and histories that hypothesis thinks of."""

from __future__ import annotations

import io
import itertools
from typing import Any

from hypothesis import strategies as st

from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.operation import Operation
from latentcrdt.testing.jepsen.recorder import Recorder


class Script:
    """A history by hand: operation n happens at n milliseconds."""

    def __init__(self) -> None:
        self.recorder = Recorder(io.StringIO(), itertools.count(0, 1_000_000).__next__)
        self._processes = itertools.count()

    def begin_add(self, element: int) -> Operation:
        return self.recorder.begin(next(self._processes), "add", 0, element)

    def begin_read(self, server: int = 0) -> Operation:
        return self.recorder.begin(next(self._processes), "read", server)

    def ok(self, invocation: Operation, *read: int) -> Operation:
        elements = Elements.of(read) if invocation.function == "read" else None
        return self.recorder.end(invocation, "ok", elements)

    def info(self, invocation: Operation) -> Operation:
        return self.recorder.end(invocation, "info", error="no answer")

    def add(self, *elements: int) -> None:
        for element in elements:
            self.ok(self.begin_add(element))

    def read(self, *elements: int, server: int = 0) -> None:
        self.ok(self.begin_read(server), *elements)

    @property
    def history(self) -> History:
        return self.recorder.history()


@st.composite
def histories(draw: Any, max_operations: int = 24) -> History:
    """Any history of adds and reads, however little sense the answers make."""
    clock = itertools.count(0)
    recorder = Recorder(io.StringIO(), lambda: next(clock) + draw(st.integers(0, 3)))
    under_way: list[Operation] = []
    processes = itertools.count()
    elements = itertools.count()
    for _ in range(draw(st.integers(0, max_operations))):
        if under_way and draw(st.booleans()):
            invocation = under_way.pop(draw(st.integers(0, len(under_way) - 1)))
            type_ = draw(st.sampled_from(["ok", "ok", "ok", "fail", "info"]))
            read = None
            if invocation.function == "read" and type_ == "ok":
                read = Elements.of(draw(st.sets(st.integers(0, 5))))
            recorder.end(invocation, type_, read)
        elif draw(st.booleans()):
            under_way.append(recorder.begin(next(processes), "add", 0, next(elements)))
        else:
            under_way.append(recorder.begin(next(processes), "read", draw(st.integers(0, 2))))
    return recorder.history()


@st.composite
def histories_of_a_correct_set(draw: Any, max_operations: int = 30) -> History:
    """What a linearizable set answers, and then a read of everything that may be in it.

    Each operation takes effect at a moment between its invocation and its completion; an add that
    ends with info or fail may have taken effect or not.
    """
    recorder = Recorder(io.StringIO(), itertools.count().__next__)
    contents: set[int] = set()
    under_way: list[tuple[Operation, list[int] | None]] = []
    processes = itertools.count()
    elements = itertools.count()
    for _ in range(draw(st.integers(0, max_operations))):
        step = draw(st.sampled_from(["add", "read", "effect", "end"]))
        if step == "add":
            add = recorder.begin(next(processes), "add", 0, next(elements))
            under_way.append((add, None))
        elif step == "read":
            under_way.append((recorder.begin(next(processes), "read", 0), None))
        elif under_way:
            chosen = draw(st.integers(0, len(under_way) - 1))
            invocation, effect = under_way[chosen]
            if step == "end" and effect is None and draw(st.booleans()):
                under_way.pop(chosen)
                recorder.end(invocation, "info")
                continue
            if effect is None:
                if invocation.function == "add":
                    assert isinstance(invocation.value, int)
                    contents.add(invocation.value)
                under_way[chosen] = (invocation, effect := sorted(contents))
            if step == "end":
                under_way.pop(chosen)
                read = Elements.of(effect) if invocation.function == "read" else None
                recorder.end(invocation, "ok", read)
    recorder.end(recorder.begin(next(processes), "read", 0), "ok", Elements.of(contents))
    return recorder.history()
