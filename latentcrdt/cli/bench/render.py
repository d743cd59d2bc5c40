"""Each render engine against copying the same bytes.

The copy, numpy's, goes between two places in memory that were both touched before, past the caches.
A render reads as many bytes, once each, and writes them into a pooled buffer, as a server does.
Engines use several threads where they can, so a copy by as many is shown too; the ratios are to the
copy by one thread.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from latentcrdt.cli.bench.measure import extra_peak_bytes, median_seconds
from latentcrdt.core.encoding import Hasher
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec, RopeStyle
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import RenderPlan
from latentcrdt.render.engine import Engine
from latentcrdt.render.golden import ROPES
from latentcrdt.render.inv_freq import rope_descriptor
from latentcrdt.render.selection import ENGINES, load_engine
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.stream import render_chunks

NUM_LAYERS, NUM_KV_HEADS, HEAD_DIM = 28, 8, 128
"""The shape of Qwen3-1.7B and of many models near it."""

COPY = "memcpy"
SHARED_COPY = "memcpy, shared"
"""By as many threads as there are processors."""


@dataclass(frozen=True, slots=True)
class Row:
    """One engine, or the copy, on one workload."""

    what: str
    workload: str
    num_bytes: int
    seconds: float
    times_memcpy: float
    extra_peak_bytes: int | None
    digest: str | None
    """BLAKE3 of the stream: the same for every engine."""


def run(num_bytes: int, num_fragments: int, *, runs: int) -> list[Row]:
    """Return the rows of every engine installed here.

    `K` turns nearly every byte; `K+V` is a usual render, half of which is copied.
    """
    engines = {name: load_engine(name) for name in ENGINES if importlib.util.find_spec(name)}
    rows = []
    for workload, value_dim in (("K", 1), ("K+V", HEAD_DIM)):
        plan, fragments = make(num_bytes, num_fragments, value_dim)
        rows += measure(workload, plan, fragments, engines, runs=runs)
    return rows


def measure(
    workload: str,
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    engines: Mapping[str, Engine],
    *,
    runs: int,
) -> list[Row]:
    """Return a row for the copy and for each engine, timed in turns."""
    source = np.ones(plan.body_bytes, dtype=np.uint8)
    target = np.empty_like(source)

    def draw(engine: Engine) -> Callable[[], None]:
        def action() -> None:
            for _ in render_chunks(plan, fragments, engine=engine):
                pass

        return action

    threads = os.cpu_count() or 1
    bounds = [source.size * i // threads for i in range(threads + 1)]
    parts = [range(*pair) for pair in pairwise(bounds)]

    def copy(part: range) -> None:
        np.copyto(target[part.start : part.stop], source[part.start : part.stop])

    drawn = {name: draw(engine) for name, engine in engines.items()}
    # First of all, so that an engine's scratch is counted: later it lies in the pool.
    peaks = {name: extra_peak_bytes(action) for name, action in drawn.items()}
    with ThreadPoolExecutor(threads) as pool:
        copies = {
            COPY: lambda: copy(range(source.size)),
            SHARED_COPY: lambda: deque(pool.map(copy, parts), maxlen=0),
        }
        seconds = median_seconds({**copies, **drawn}, runs=runs)
    digests = {}
    for name, engine in engines.items():
        hasher = Hasher()
        for chunk in render_chunks(plan, fragments, engine=engine):
            hasher.update(chunk)
        digests[name] = hasher.digest().hex()
    return [
        Row(
            what,
            workload,
            plan.body_bytes,
            took,
            took / seconds[COPY],
            peaks.get(what),
            digests.get(what),
        )
        for what, took in seconds.items()
    ]


def make(
    num_bytes: int, num_fragments: int, value_dim: int
) -> tuple[RenderPlan, dict[FragmentId, Fragment]]:
    """Return a plan of bf16 fragments of about ``num_bytes`` together, none at its own place."""
    rope = rope_descriptor(
        ROPES["default"], head_dim=HEAD_DIM, style=RopeStyle.HALF, max_position_embeddings=1 << 17
    )
    layers = tuple(LayerSpec(NUM_KV_HEADS, HEAD_DIM, value_dim, 0) for _ in range(NUM_LAYERS))
    geometry = Geometry("bench@0", Dtype.BF16, (rope,), layers)
    token_bytes = NUM_LAYERS * NUM_KV_HEADS * (HEAD_DIM + value_dim) * Dtype.BF16.itemsize
    seq_len = max(1, num_bytes // token_bytes // num_fragments)
    fragments = {}
    for seed in range(num_fragments):
        # The same bytes in every layer: making them must not take longer than turning them.
        keys = float_bits(2 * seed, NUM_KV_HEADS * seq_len * HEAD_DIM, geometry.dtype)
        values = float_bits(2 * seed + 1, NUM_KV_HEADS * seq_len * value_dim, geometry.dtype)
        fragment = Fragment.build(
            geometry, [(keys, values)] * NUM_LAYERS, start=num_fragments * seq_len, seq_len=seq_len
        )
        fragments[fragment.fragment_id] = fragment
    return place([f.header for f in fragments.values()]), fragments
