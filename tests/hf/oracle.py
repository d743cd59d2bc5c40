"""What tests compare by: rows as float64 arrays, and how far two of them are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout
from latentcrdt.core.rendered import Render
from latentcrdt.hf.prefill import prefill
from latentcrdt.render.stream import render

BOUNDS = {Dtype.F32: 1e-5, Dtype.F16: 1e-2, Dtype.BF16: 5e-2}
"""Relative error (Frobenius norm, per layer) that two forward passes of a tiny model stay below.

Measured: 1e-6, 2e-3 and 1.5e-2. What a wrong rotation gives is 0.4 and more.
"""

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


def render_of(
    fragments: Sequence[Fragment],
    prefixes: Sequence[Fragment] = (),
    *,
    layout: Layout = Layout.SEQUENTIAL,
    stride: int | None = None,
) -> Render:
    """Render fragments in the order given."""
    plan = place(
        [f.header for f in fragments], [p.header for p in prefixes], layout=layout, stride=stride
    )
    return render(plan, {f.fragment_id: f for f in (*fragments, *prefixes)})


def layers_of(source: Fragment | Render) -> list[Layer]:
    """Return K and V ``[H, T, D]`` of every layer."""
    geometry = source.header.geometry if isinstance(source, Fragment) else source.plan.geometry
    layers = []
    for i, spec in enumerate(geometry.layers):
        heads = spec.num_kv_heads
        keys = as_float64(source.keys(i), geometry.dtype).reshape(heads, -1, spec.key_dim)
        values = as_float64(source.values(i), geometry.dtype).reshape(heads, -1, spec.value_dim)
        layers.append((keys, values))
    return layers


def layers_of_cache(cache: DynamicCache) -> list[Layer]:
    """Return K and V ``[H, T, D]`` of every layer of a cache of one sequence."""
    return [
        (layer.keys[0].double().numpy(), layer.values[0].double().numpy()) for layer in cache.layers
    ]


def as_float64(data: memoryview, dtype: Dtype) -> NDArray[np.float64]:
    if dtype is Dtype.BF16:
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).astype(float)
    return np.frombuffer(data, "<f2" if dtype is Dtype.F16 else "<f4").astype(float)


def assert_close(actual: Sequence[Layer], expected: Sequence[Layer], bound: float) -> None:
    """Compare the last rows that both have, layer by layer, K and V."""
    for i, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
        for part, a, b in zip(("keys", "values"), got, wanted, strict=True):
            assert a.shape == b.shape, f"layer {i}, {part}"
            error = np.linalg.norm(a - b) / np.linalg.norm(b)
            assert error <= bound, f"layer {i}, {part}: relative error {error:.3g}"


def last_rows(layers: Sequence[Layer], source: Fragment) -> list[Layer]:
    """Cut every layer to the rows that the last fragment of a render contributes."""
    counts = [spec.rows(source.header.seq_len) for spec in source.header.geometry.layers]
    return [(k[:, -n:], v[:, -n:]) for (k, v), n in zip(layers, counts, strict=True)]


def plain_prefill(model: PreTrainedModel, token_ids: Sequence[int]) -> DynamicCache:
    """Prefill from position 0 as transformers itself would."""
    cache = DynamicCache(config=model.config)
    prefill(model, token_ids, position=0, cache=cache)
    return cache


def next_logits(
    model: PreTrainedModel, cache: DynamicCache, token_ids: Sequence[int], position: int
) -> torch.Tensor:
    """Return the logits after the tokens, which are placed from ``position`` on."""
    positions = torch.arange(position, position + len(token_ids))
    with torch.no_grad():
        answer = model(
            input_ids=torch.tensor([token_ids]),
            position_ids=positions[None],
            past_key_values=cache,
        )
    return answer.logits[0, -1]
