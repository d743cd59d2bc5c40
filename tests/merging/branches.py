"""Branches to merge, and what comes of them when they are merged right here."""

from __future__ import annotations

from collections.abc import Sequence

from latentcrdt.core.derived import Derived
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Geometry
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.render.derived import render_derived
from latentcrdt.render.sort_key import sort_key
from latentcrdt.testing.fragments import make_fragment, make_geometry


def fork(
    seed: int, *, num: int = 2, seq_len: int = 5, geometry: Geometry | None = None
) -> list[Fragment]:
    """Return a prefix of three tokens, and branches behind it."""
    geometry = geometry or make_geometry()
    prefix = make_fragment(seed, geometry=geometry, seq_len=3)
    behind = [
        make_fragment(
            seed + 1 + i, geometry=geometry, start=3, seq_len=seq_len, prefix=prefix.fragment_id
        )
        for i in range(num)
    ]
    return [prefix, *behind]


def plan_of(prefix: Fragment, branches: Sequence[Fragment]) -> RenderPlan:
    """Return the canonical plan of branches."""
    by_id = {fragment.fragment_id: fragment for fragment in branches}
    order = canonical_order((sort_key(f), f.fragment_id) for f in branches)
    headers = [by_id[i].header for i in order]
    return place(headers, [prefix.header], layout=Layout.PARALLEL)


def merged_here(forked: Sequence[Fragment], query: RenderQuery) -> Derived:
    """Return the merge that a query asks for of a fork, in canonical order."""
    prefix, *branches = forked
    choice = query.merge_choice
    assert choice is not None
    plan = plan_of(prefix, branches)
    held = {fragment.fragment_id: fragment for fragment in forked}
    merge = BranchMerge.of(choice)
    layers = LayerRange.parse(query.layers or ":", len(plan.geometry.layers))
    return render_derived(
        plan, merge.derivation(plan), merge.apply(plan, held), held, layers=layers
    )
