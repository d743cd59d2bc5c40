"""Plot render time against bytes and against the number of fragments (docs/render-time.svg).

Both axes are logarithmic: a slope of 1 is linear, 0 is flat. Beside the engines stands what numpy
takes to lay the same pieces side by side without turning any. Needs matplotlib (extra `dev`).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt  # after the backend is chosen

from latentcrdt.cli.bench.render import COPY, HEAD_DIM, Row, make, measure
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.render.selection import load_engine
from latentcrdt.render.sources import SectionSource

TARGET = Path(__file__).parent.parent / "docs" / "render-time.svg"
SIZES_MB = (50, 100, 235, 500, 1000, 2000)
COUNTS = (1, 3, 10, 30, 100, 300, 1000)
FIXED_MB = 235
GATHER = "numpy.concatenate"


def run(megabytes: int, fragments: int, engines: list[str], runs: int) -> list[Row]:
    """Return the rows of one point of a curve."""
    plan, made = make(megabytes * 10**6, fragments, HEAD_DIM)
    rows = measure("K+V", plan, made, {e: load_engine(e) for e in engines}, runs=runs)
    rows.append(replace(rows[0], what=GATHER, seconds=gather(plan, made, runs)))
    figures = ", ".join(f"{row.what} {row.seconds * 1e3:.0f} ms" for row in rows)
    print(f"{megabytes} MB, {fragments} fragments: {figures}", flush=True)
    return rows


def gather(plan: RenderPlan, made: Mapping[FragmentId, Fragment], runs: int) -> float:
    """Return the median seconds of numpy's concatenation of every section, which turns nothing."""
    source = SectionSource(plan, made)
    layers = range(len(plan.geometry.layers))
    sections = [section for i in layers for section in (source.keys(i), source.values(i))]
    pieces = [[section.whole_run(i) for i in range(len(section.sources))] for section in sections]
    largest = max(sum(piece.nbytes for piece in of_one) for of_one in pieces)
    buffer = np.zeros(largest, np.uint8)
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        for section, of_one in zip(sections, pieces, strict=True):
            shape = section.num_heads, section.num_rows, section.dim
            bits = buffer.view(of_one[0].dtype)[: math.prod(shape)].reshape(shape)
            np.concatenate(of_one, axis=1, out=bits)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the exponent of the power of x that fits y best."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def main() -> None:
    """Measure both curves, print the slopes, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["numba", "torch"])
    options = parser.parse_args()
    engines, runs = options.engines, options.runs
    by_size = [run(mb, 2, engines, runs) for mb in SIZES_MB]
    by_count = [run(FIXED_MB, n, engines, runs) for n in COUNTS]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for what in (COPY, GATHER, *engines):
        sized = [row for rows in by_size for row in rows if row.what == what]
        megabytes, seconds = [r.num_bytes / 1e6 for r in sized], [r.seconds for r in sized]
        left.loglog(megabytes, [s * 1e3 for s in seconds], "o-", label=what)
        counted = [row.seconds for rows in by_count for row in rows if row.what == what]
        right.loglog(COUNTS, [s * 1e3 for s in counted], "o-", label=what)
        by_bytes, by_fragments = slope(megabytes, seconds), slope(COUNTS, counted)
        print(f"{what}: time grows as bytes^{by_bytes:.2f} and as fragments^{by_fragments:.2f}")
    left.set(xlabel="MB rendered (2 fragments)", ylabel="ms")
    right.set(xlabel=f"fragments ({FIXED_MB} MB)")
    right.legend()
    for axes in (left, right):
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(TARGET, metadata={"Date": None})
    print(f"wrote {TARGET.name}")


if __name__ == "__main__":
    main()
