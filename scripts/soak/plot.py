"""A picture of what was sampled."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from scripts.soak.sample import QUANTITIES

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(samples: dict[str, list[dict[str, float]]], warm_up: float, path: Path) -> None:
    """Write a picture of every quantity over the pushes."""
    figure, panels = plt.subplots(3, sharex=True, figsize=(11, 8), layout="constrained")
    for panel, quantity, unit in zip(panels, QUANTITIES, (2**20, 2**20, 1), strict=True):
        for server, taken in samples.items():
            pushes = [s["pushes"] for s in taken]
            panel.plot(pushes, [s[quantity] / unit for s in taken], linewidth=1, label=server)
            if pushes:  # a server that was never asked has none
                panel.axvline(pushes[int(len(pushes) * warm_up)], color="grey")
        panel.set_ylim(bottom=0)
        panel.legend(loc="lower right")
    panels[0].set_ylabel("memory in use, MiB")
    panels[1].set_ylabel("anonymous memory, MiB")
    panels[2].set_ylabel("open files")
    panels[2].set_xlabel("pushes; what comes after the grey line is judged")
    figure.savefig(path, dpi=110)
    plt.close(figure)
