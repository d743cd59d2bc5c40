"""A derived fragment, rendered: made here, or found where somebody else left it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentcrdt.core.derivation import Derivation
from latentcrdt.core.derived import Derived, DerivedReceipt, Repair, place_derived
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import LayerRange, RenderPlan
from latentcrdt.core.receipt import Receipt
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.sort_key import mean_norm
from latentcrdt.render.stream import render


def derive(repair: Repair, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Derived:
    """Return what a repair makes of the fragments of a plan, without any server.

    Raises as the repair's `derivation` and `apply` do.
    """
    derivation = repair.derivation(plan)
    return render_derived(plan, derivation, repair.apply(plan, fragments), fragments)


def render_derived(
    plan: RenderPlan,
    derivation: Derivation,
    derived: Fragment,
    fragments: Mapping[FragmentId, Fragment],
    *,
    layers: LayerRange | None = None,
) -> Derived:
    """Return a derived fragment of a plan as a render, behind the plan's prefixes.

    ``fragments`` holds these prefixes; ``layers``: those to render, all if left out. Raises
    IncompatibleFragmentsError for a fragment that does not have the place of what it is to stand
    for.
    """
    prefixes = [fragments[placement.fragment_id] for placement in plan.prefixes]
    headers = [prefix.header for prefix in prefixes]
    placed = place_derived(plan, derived.header, headers, layers=layers)
    held = {fragment.fragment_id: fragment for fragment in (*prefixes, derived)}
    return Derived(plan, derivation, render(placed, held))


def receipt_of(derived: Derived, base: Receipt) -> DerivedReceipt:
    """Return the receipt of a derived render that is in memory, given that of its source.

    Raises RangeNotSatisfiableError for a render without the layer that sort keys are taken from.
    """
    plan, geometry = derived.render.plan, derived.render.plan.geometry
    layer = geometry.key_layer
    spec = geometry.layers[layer]
    num_rows = plan.runs(layer)[-1].num_rows
    keys = np.frombuffer(derived.render.keys(layer), UNSIGNED[geometry.dtype])
    own = keys.reshape(spec.num_kv_heads, -1, spec.key_dim)[:, -num_rows:]  # behind the prefixes
    key = mean_norm(geometry, np.ascontiguousarray(own).data)
    receipt = Receipt(plan, (key,), tuple(derived.render.run_digests()))
    return DerivedReceipt(receipt, derived.derivation, base)
