"""Time a render against copying its bytes: medians of several runs, all in this one process.

Usage: bench_render.py [--megabytes N] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from latentcrdt.core.placement import place
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.selection import select_engine
from latentcrdt.render.stream import render_chunks
from latentcrdt.testing.fragments import make_fragment, make_geometry

NUM_LAYERS, NUM_KV_HEADS, HEAD_DIM = 28, 8, 128
BYTES_PER_TOKEN = NUM_LAYERS * NUM_KV_HEADS * HEAD_DIM * 2 * 2


def median_seconds(action: Callable[[], object], runs: int) -> float:
    """Return the median time of ``runs`` calls, after one that is not counted."""
    action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Render two bf16 fragments with each engine, and copy as many bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=235)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    geometry = make_geometry(num_layers=NUM_LAYERS, num_kv_heads=NUM_KV_HEADS, head_dim=HEAD_DIM)
    seq_len = max(1, options.megabytes * 10**6 // BYTES_PER_TOKEN // 2)
    pair = [make_fragment(i, geometry=geometry, start=5, seq_len=seq_len) for i in range(2)]
    fragments = {f.fragment_id: f for f in pair}
    plan = place([f.header for f in pair])
    source = np.ones(plan.body_bytes, dtype=np.uint8)
    target = np.empty_like(source)
    rows = {"memcpy": median_seconds(lambda: np.copyto(target, source), options.runs)}
    for engine in (select_engine(), ReferenceEngine()):

        def stream(engine: ReferenceEngine = engine) -> int:
            return sum(len(chunk) for chunk in render_chunks(plan, fragments, engine=engine))

        rows[f"render, {engine.name}"] = median_seconds(stream, options.runs)
    results = [
        {
            "what": name,
            "megabytes": plan.body_bytes / 1e6,
            "seconds": seconds,
            "times_memcpy": seconds / rows["memcpy"],
        }
        for name, seconds in rows.items()
    ]
    if options.json:
        print(json.dumps(results, indent=1))
        return
    table = Table("what", "MB", "ms", "x memcpy")
    for row in results:
        ms, ratio = f"{row['seconds'] * 1e3:.1f}", f"{row['times_memcpy']:.1f}"
        table.add_row(str(row["what"]), f"{row['megabytes']:.0f}", ms, ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
