"""A picture of a history: what each read missed, adds a second, and faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl

from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.nemesis import BEGUN, ENDED

mpl.use("Agg")
from matplotlib import pyplot as plt

NS = 1e9


def plot(history: History, path: Path) -> None:
    """Write a PNG file."""
    figure, (missed, rates, faults) = plt.subplots(
        3, sharex=True, figsize=(12, 9), layout="constrained"
    )
    _draw_missed(history, missed)
    _draw_rates(history, rates)
    _draw_faults(history, faults)
    faults.set_xlabel("seconds")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_missed(history: History, panel: Any) -> None:
    """Draw how many elements a read missed that had been acknowledged before it began."""
    acks = [add.acknowledgement for add in history.adds().values()]
    waiting = sorted((ack.index, ack.value) for ack in acks if ack)[::-1]
    acknowledged: set[Any] = set()
    points: dict[int | None, list[tuple[float, int]]] = defaultdict(list)
    for read in history.reads():
        while waiting and waiting[-1][0] < read.invocation.index:
            acknowledged.add(waiting.pop()[1])
        missed = len(acknowledged.difference(read.elements))
        points[read.invocation.server].append((read.invocation.time_ns / NS, missed))
    for server, drawn in sorted(points.items(), key=str):
        panel.plot(*zip(*drawn, strict=True), ".-", linewidth=0.5, label=f"server {server}")
    panel.set_ylabel("acknowledged, and not read")
    panel.legend(loc="upper left")


def _draw_rates(history: History, panel: Any) -> None:
    ends = [add.completion for add in history.adds().values() if add.completion]
    for type_, label in (("ok", "acknowledged"), ("info", "unknown")):
        counts = Counter(int(end.time_ns / NS) for end in ends if end.type == type_)
        seconds = range(max(counts, default=0) + 1)
        panel.step(seconds, [counts[second] for second in seconds], where="post", label=label)
    panel.set_ylabel("adds a second")
    panel.legend(loc="upper left")


def _draw_faults(history: History, panel: Any) -> None:
    begun: dict[str, float] = {}
    lasted: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for note in history.faults():
        moment = note.time_ns / NS
        if note.value == BEGUN:
            begun[note.function] = moment
        elif note.value == ENDED and note.function in begun:
            start = begun.pop(note.function)
            lasted[note.function].append((start, moment - start))
    for row, name in enumerate(sorted(lasted)):
        panel.broken_barh(lasted[name], (row - 0.4, 0.8))
    panel.set_yticks(range(len(lasted)), sorted(lasted))
