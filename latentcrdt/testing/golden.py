"""Every stage of the golden vectors, computed on this machine: where does a difference start?

`latentcrdt.render.golden` holds the expected values and the stage that engines are tested with.
"""

from __future__ import annotations

from typing import Any

from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec, RopeStyle
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout
from latentcrdt.render.engine import Engine
from latentcrdt.render.golden import DELTAS, HEAD_DIM, ROPES, descriptor, rotations
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.stream import render
from latentcrdt.render.tables import rotation_table


def compute(engine: Engine) -> dict[str, Any]:
    """Return the values of every stage on this machine, with this engine."""
    fragments = {
        f"{dtype}/{style}": _fragments(dtype, style) for dtype in Dtype for style in RopeStyle
    }
    return {
        "inv_freq": {name: descriptor(name).inv_freq.hex() for name in ROPES},
        "tables": {str(dtype): _tables(dtype) for dtype in Dtype},
        "rotate": rotations(engine),
        "fragment_ids": {n: [str(f.fragment_id) for f in fs] for n, fs in fragments.items()},
        "sort_key": {n: [sort_key(f).hex() for f in fs] for n, fs in fragments.items()},
        "order": {n: [str(f.fragment_id) for f in _in_order(fs)] for n, fs in fragments.items()},
        "render": {n: _render(fs, engine) for n, fs in fragments.items()},
    }


def _tables(dtype: Dtype) -> str:
    tables = [rotation_table(descriptor(name), d, dtype) for name in ROPES for d in DELTAS]
    entries = [array.astype("<f8").tobytes() for t in tables for array in (t.cos, t.sin)]
    return digest(b"".join(entries)).hex()


def _fragments(dtype: Dtype, style: RopeStyle) -> list[Fragment]:
    """Return five fragments over full, sliding, differently rotated and unrotated layers."""
    geometry = Geometry(
        "golden@v1",
        dtype,
        (descriptor("default", style), descriptor("proportional", style)),
        (
            LayerSpec(2, HEAD_DIM, HEAD_DIM, 0),
            LayerSpec(1, HEAD_DIM, 8, 1, window=6),
            LayerSpec(2, HEAD_DIM, HEAD_DIM, None),
            LayerSpec(2, HEAD_DIM, HEAD_DIM, 1),
        ),
    )
    fragments = []
    for seed in range(5):
        seq_len = 3 + 2 * seed
        layers = []
        for i, spec in enumerate(geometry.layers):
            rows = spec.num_kv_heads * spec.rows(seq_len)
            keys = float_bits(1000 * seed + 2 * i, rows * spec.key_dim, dtype)
            values = float_bits(1000 * seed + 2 * i + 1, rows * spec.value_dim, dtype)
            layers.append((keys, values))
        fragments.append(Fragment.build(geometry, layers, start=11 * seed, seq_len=seq_len))
    return fragments


def _in_order(fragments: list[Fragment]) -> list[Fragment]:
    by_id = {f.fragment_id: f for f in fragments}
    return [by_id[i] for i in canonical_order((sort_key(f), f.fragment_id) for f in fragments)]


def _render(fragments: list[Fragment], engine: Engine) -> dict[str, dict[str, str]]:
    ordered = _in_order(fragments)
    by_id = {f.fragment_id: f for f in fragments}
    renders = {}
    for layout in Layout:
        stride = 16 if layout is Layout.SLOTTED else None
        plan = place([f.header for f in ordered], layout=layout, stride=stride)
        rendered = render(plan, by_id, engine=engine)
        renders[str(layout)] = {
            "class_id": str(plan.class_id),
            "render_id": str(plan.render_id),
            "stream_digest": str(rendered.digest),
        }
    return renders
