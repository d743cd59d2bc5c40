"""A picture of a history: what servers said they held, adds a second, and faults."""

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
    figure, (sizes, rates, faults) = plt.subplots(
        3, sharex=True, figsize=(14, 10), layout="constrained"
    )
    seen: dict[int | None, list[tuple[float, int]]] = defaultdict(list)
    for read in history.reads():
        moment = read.completion.time_ns / NS
        seen[read.invocation.server].append((moment, len(read.elements)))
    for server, points in sorted(seen.items(), key=str):
        sizes.plot(*zip(*points, strict=True), ".", markersize=3, label=f"server {server}")
    sizes.set_ylabel("elements read")
    sizes.legend(loc="upper left")
    ends = [add.completion for add in history.adds().values() if add.completion]
    for type_, label in (("ok", "acknowledged"), ("info", "unknown")):
        counts = Counter(int(end.time_ns / NS) for end in ends if end.type == type_)
        seconds = range(max(counts, default=0) + 1)
        rates.step(seconds, [counts[second] for second in seconds], where="post", label=label)
    rates.set_ylabel("adds a second")
    rates.legend(loc="upper left")
    _draw_faults(history, faults)
    faults.set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    plt.close(figure)


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
