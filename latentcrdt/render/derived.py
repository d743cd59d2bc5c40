"""A derived fragment, rendered: made here, or found where somebody else left it."""

from __future__ import annotations

from collections.abc import Mapping

from latentcrdt.core.derivation import Derivation
from latentcrdt.core.derived import Derived, Repair, place_derived
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
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
) -> Derived:
    """Return a derived fragment of a plan as a render, behind the plan's prefixes.

    ``fragments`` holds these prefixes. Raises IncompatibleFragmentsError for a fragment that does
    not have the place of what it is to stand for.
    """
    prefixes = [fragments[placement.fragment_id] for placement in plan.prefixes]
    placed = place_derived(plan, derived.header, [prefix.header for prefix in prefixes])
    held = {fragment.fragment_id: fragment for fragment in (*prefixes, derived)}
    return Derived(plan, derivation, render(placed, held))
