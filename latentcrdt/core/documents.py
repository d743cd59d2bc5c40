"""The readable form of headers, plans and receipts: what JSON and msgpack answers carry.

Documents are for people and programs to read; nothing is ever hashed in this form. Ids are
hexadecimal text; a sort key comes as a number and, exactly, as ``float.hex``.
"""

from __future__ import annotations

from typing_extensions import TypedDict

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import stride_of
from latentcrdt.core.plan import SPEC_VERSION, Placement, RenderPlan
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.reuse import Reuse
from latentcrdt.core.summary import Summary


class HeaderDocument(TypedDict):
    """Summary of a fragment's header."""

    id: str
    class_id: str
    model_id: str
    dtype: str
    num_layers: int
    start: int
    seq_len: int
    num_latent_rows: int
    prefix: str | None
    body_bytes: int


class PlacementDocument(TypedDict):
    """One fragment in a plan."""

    id: str
    delta: int
    span: list[int]
    """First position and the position after the last, in the render."""


class PlanDocument(TypedDict):
    """A render plan."""

    spec_version: int
    render_id: str
    class_id: str
    model_id: str
    dtype: str
    layout: str
    stride: int | None
    """Tokens between slots with layout ``slotted``, None otherwise."""
    base: int
    next_position: int
    num_tokens: int
    layers: list[int]
    """First layer carried and the layer after the last."""
    stream_bytes: int
    prefixes: list[PlacementDocument]
    fragments: list[PlacementDocument]


class SortKeyDocument(TypedDict):
    """The sort key of one fragment (RENDER_SPEC section 3)."""

    id: str
    key: float
    key_hex: str


class SectionDocument(TypedDict):
    """Digests of what one fragment contributes to one rendered layer."""

    layer: int
    fragment: str
    keys: str
    values: str


class ClosePairDocument(TypedDict):
    """Two fragments whose order may differ when captured on other hardware."""

    first: str
    second: str
    relative_gap: float


class FragmentReuseDocument(TypedDict):
    """In how many of a fragment's rendered sections the rows came from the earlier render."""

    id: str
    delta: int
    layers: int
    keys_reused: int
    values_reused: int


class ReuseDocument(TypedDict):
    """What of a render an earlier one held already. Local: no part of a receipt."""

    render_id: str
    previous_render_id: str
    body_bytes: int
    reused_bytes: int
    fragments: list[FragmentReuseDocument]


class ReceiptDocument(TypedDict):
    """A receipt: the plan, the keys and the digests."""

    plan: PlanDocument
    order: str
    """``canonical`` when the fragments stand in the order of their keys, else ``bag``."""
    keys: list[SortKeyDocument]
    close_pairs: list[ClosePairDocument]
    sections: list[SectionDocument]


def header_document(header: FragmentHeader) -> HeaderDocument:
    """Return the readable summary of a header."""
    return summary_document(Summary.of(header))


def summary_document(summary: Summary) -> HeaderDocument:
    """Return the readable form of a summary."""
    kin = summary.kin
    return {
        "id": str(summary.fragment_id),
        "class_id": str(kin.class_id),
        "model_id": kin.model_id,
        "dtype": kin.dtype,
        "num_layers": kin.num_layers,
        "start": summary.start,
        "seq_len": summary.seq_len,
        "num_latent_rows": summary.num_latent_rows,
        "prefix": None if kin.prefix is None else str(kin.prefix),
        "body_bytes": summary.body_bytes,
    }


def plan_document(plan: RenderPlan) -> PlanDocument:
    """Return the readable form of a plan."""
    return {
        "spec_version": SPEC_VERSION,
        "render_id": str(plan.render_id),
        "class_id": str(plan.class_id),
        "model_id": plan.geometry.model_id,
        "dtype": str(plan.geometry.dtype),
        "layout": str(plan.layout),
        "stride": stride_of(plan),
        "base": plan.base,
        "next_position": plan.next_position,
        "num_tokens": plan.num_tokens,
        "layers": [plan.layers.first, plan.layers.stop],
        "stream_bytes": len(plan.framing) + plan.body_bytes,
        "prefixes": [_placement(p) for p in plan.prefixes],
        "fragments": [_placement(p) for p in plan.placements],
    }


def receipt_document(receipt: Receipt) -> ReceiptDocument:
    """Return the readable form of a receipt."""
    return {
        "plan": plan_document(receipt.plan),
        "order": "canonical" if receipt.is_canonical else "bag",
        "keys": [
            {"id": str(p.fragment_id), "key": key, "key_hex": key.hex()}
            for p, key in zip(receipt.plan.placements, receipt.keys, strict=True)
        ],
        "close_pairs": [
            {"first": str(a), "second": str(b), "relative_gap": gap}
            for a, b, gap in receipt.close_pairs
        ],
        "sections": [
            {
                "layer": d.layer,
                "fragment": str(d.fragment_id),
                "keys": str(d.keys),
                "values": str(d.values),
            }
            for d in receipt.digests
        ],
    }


def reuse_document(reuse: Reuse) -> ReuseDocument:
    """Return the readable form of what was reused, fragment by fragment in render order."""
    plan = reuse.plan
    entries: dict[FragmentId, FragmentReuseDocument] = {
        p.fragment_id: {
            "id": str(p.fragment_id),
            "delta": p.delta,
            "layers": 0,
            "keys_reused": 0,
            "values_reused": 0,
        }
        for p in (*plan.prefixes, *plan.placements)
    }
    for r in reuse.runs:
        entry = entries[r.run.placement.fragment_id]
        entry["layers"] += 1
        entry["keys_reused"] += r.keys
        entry["values_reused"] += r.values
    return {
        "render_id": str(plan.render_id),
        "previous_render_id": str(reuse.previous.render_id),
        "body_bytes": plan.body_bytes,
        "reused_bytes": reuse.reused_bytes,
        "fragments": list(entries.values()),
    }


def _placement(placement: Placement) -> PlacementDocument:
    return {
        "id": str(placement.fragment_id),
        "delta": placement.delta,
        "span": [placement.new_start, placement.new_stop],
    }
