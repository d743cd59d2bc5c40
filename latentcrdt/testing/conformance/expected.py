"""What the server must say, made here from the fragments by the reference engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from latentcrdt.core.documents import header_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.state import LatentState
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render

ENGINE = ReferenceEngine()
"""Slow, and nearer to the specification than any that a server would use."""


def root_of(fragments: Iterable[Fragment]) -> str:
    """Return the root of the state that holds these fragments and no others."""
    return str(LatentState(f.fragment_id for f in fragments).root)


def member_document(fragment: Fragment) -> dict[str, Any]:
    """Return what a listing says of a member."""
    key = sort_key(fragment)
    return {**header_document(fragment.header), "key": key, "key_hex": key.hex()}


def state_document(name: str, fragments: Iterable[Fragment]) -> dict[str, Any]:
    """Return the listing of a state that holds these fragments and no others."""
    members = sorted(fragments, key=lambda fragment: fragment.fragment_id)
    return {
        "name": name,
        "root": root_of(members),
        "members": [member_document(fragment) for fragment in members],
    }


def plan_of(
    fragments: Iterable[Fragment],
    prefixes: Sequence[Fragment] = (),
    *,
    layout: Layout = Layout.SEQUENTIAL,
    stride: int | None = None,
    layers: LayerRange | None = None,
) -> RenderPlan:
    """Return the plan of a canonical render."""
    by_id = {f.fragment_id: f for f in fragments}
    order = canonical_order((sort_key(f), f.fragment_id) for f in by_id.values())
    return place(
        [by_id[fragment_id].header for fragment_id in order],
        [prefix.header for prefix in prefixes],
        layout=layout,
        stride=stride,
        layers=layers,
    )


def rendered(plan: RenderPlan, fragments: Iterable[Fragment]) -> bytes:
    """Return the render stream of a plan."""
    return render(plan, {f.fragment_id: f for f in fragments}, engine=ENGINE).to_bytes()
