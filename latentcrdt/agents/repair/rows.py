"""The rows of a render as tensors that a repair writes to, and back to a fragment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Geometry, LayerSpec
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import LayerRange, Layout, Placement, RenderPlan
from latentcrdt.hf.tensors import TORCH_DTYPES, from_bytes, to_bytes
from latentcrdt.render.sort_key import check_keys
from latentcrdt.render.stream import render


@dataclass(frozen=True, slots=True, eq=False)
class LayerRows:
    """One layer's keys and values of all tokens of a plan, prefixes first."""

    keys: torch.Tensor
    """``[1, H, T, D]``; written to."""
    values: torch.Tensor
    """``[1, H, T, D_v]``; written to."""
    held: torch.Tensor
    """``[T]`` bool: which rows are there. A sliding layer of a fragment keeps its last ones."""
    window: int | None
    """As in `LayerSpec`: a query sees this many tokens, itself included."""


def rows_of(
    plan: RenderPlan, fragments: Mapping[FragmentId, Fragment], device: torch.device
) -> list[LayerRows]:
    """Return the rendered rows, each turned to its place: the bytes of the render, and more.

    A sliding layer of a render keeps the last rows of the whole; here it has those of every
    fragment, which the tokens behind each of them look at.
    """
    dtype, num_tokens = TORCH_DTYPES[plan.geometry.dtype], plan.num_tokens
    layers = []
    for spec in plan.geometry.layers:
        heads = spec.num_kv_heads
        keys = torch.zeros((1, heads, num_tokens, spec.key_dim), dtype=dtype, device=device)
        values = torch.zeros((1, heads, num_tokens, spec.value_dim), dtype=dtype, device=device)
        held = torch.zeros(num_tokens, dtype=torch.bool, device=device)
        layers.append(LayerRows(keys, values, held, spec.window))
    stop = 0
    for placement in (*plan.prefixes, *plan.placements):
        stop += placement.seq_len
        alone = render(_alone(plan.geometry, placement), fragments)
        for i, (layer, spec) in enumerate(zip(layers, plan.geometry.layers, strict=True)):
            count = spec.rows(placement.seq_len)
            kept = slice(stop - count, stop)
            keys, values = _tensors(spec, plan.geometry, count, alone.keys(i), alone.values(i))
            layer.keys[:, :, kept], layer.values[:, :, kept] = keys.to(device), values.to(device)
            layer.held[kept] = True
    return layers


def fragment_of(
    plan: RenderPlan, fragments: Mapping[FragmentId, Fragment], layers: Sequence[LayerRows]
) -> Fragment:
    """Return the rows from the plan's base on as one fragment of the plan's class.

    Raises NonFiniteKeysError for keys that no render could hold.
    """
    placed = [fragments[p.fragment_id] for p in plan.placements]
    seq_len = plan.next_position - plan.base
    sections = []
    for layer, spec in zip(layers, plan.geometry.layers, strict=True):
        last = slice(plan.num_tokens - spec.rows(seq_len), None)
        sections.append((to_bytes(layer.keys[:, :, last]), to_bytes(layer.values[:, :, last])))
    derived = Fragment.build(
        plan.geometry,
        sections,
        start=plan.base,
        seq_len=seq_len,
        prefix=plan.prefixes[-1].fragment_id if plan.prefixes else None,
        token_ids=joined_token_ids(placed),
        latent_inputs=joined_latent_inputs(placed),
    )
    check_keys(derived)
    return derived


def joined_token_ids(fragments: Sequence[Fragment]) -> list[int]:
    """Return the tokens of fragments that say all of theirs, in render order."""
    return [i for fragment in fragments for i in fragment.header.token_ids or ()]


def joined_latent_inputs(fragments: Sequence[Fragment]) -> tuple[int, bytes] | None:
    """Return the width and the input embeddings of all latent rows, in render order."""
    parts = []
    width = 0
    for fragment in fragments:
        if fragment.header.latent_inputs is not None:
            width = fragment.header.latent_inputs.width
            parts.append(fragment.section(fragment.header.sections[-1]))
    return (width, b"".join(parts)) if parts else None


def _alone(geometry: Geometry, placement: Placement) -> RenderPlan:
    """Return the plan of one fragment, where another plan has it."""
    layers = LayerRange(0, len(geometry.layers))
    return RenderPlan(geometry, Layout.SEQUENTIAL, (), (placement,), layers)


def _tensors(
    spec: LayerSpec, geometry: Geometry, count: int, keys: memoryview, values: memoryview
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a section's K ``[1, H, T, D]`` and V ``[1, H, T, D_v]``."""
    heads, cpu = spec.num_kv_heads, torch.device("cpu")
    return (
        from_bytes(keys, geometry.dtype, (1, heads, count, spec.key_dim), cpu),
        from_bytes(values, geometry.dtype, (1, heads, count, spec.value_dim), cpu),
    )
