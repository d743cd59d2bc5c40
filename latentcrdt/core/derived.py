"""Derived rows: one fragment, which is named by what made it of which others.

Rows that were made out of a class of fragments (`derivation`) are no member beside these. They are
one fragment of the same class, from the class's base to the end of the sequence. What a repair made
is a member of a companion state: so it replicates, is verified and is rendered as any fragment is,
and whoever wants the same rows computes the name and finds them. What a merge makes, anyone with
the branches makes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latentcrdt.core.derivation import Derivation
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout, Placement, RenderPlan
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.errors import IncompatibleFragmentsError, UnrepairableError

MAX_NAME_CHARS = 63
"""Characters of a state's name: 56 hexadecimal digits, 224 bits, of the derivation id fit."""


class Repair(Protocol):
    """Makes rows out of the fragments of a plan; the same plan and fragments, the same meaning.

    Whoever has no model can name the result and find it; only `apply` computes.
    """

    def derivation(self, plan: RenderPlan) -> Derivation:
        """Return what `apply` would make of this plan; UnrepairableError if it would not."""
        ...

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        """Return the rows from the plan's base to its end, as one fragment of the plan's class.

        ``fragments`` holds the plan's placements and prefixes, verified.
        """
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived fragment, rendered, and what it was derived from."""

    source: RenderPlan
    """The plan of the fragments that it was made of."""
    derivation: Derivation
    render: Render
    """The prefixes and the derived fragment, nothing of it moved: what a model decodes from."""

    @property
    def fragment_id(self) -> FragmentId:
        """The derived fragment."""
        return self.render.plan.placements[0].fragment_id

    @property
    def companion(self) -> StateName:
        """The state in which the derived fragment is kept, where it is shared."""
        return companion_of(self.derivation)


@dataclass(frozen=True, slots=True)
class DerivedReceipt:
    """The receipt of a derived render, and of what it was derived from.

    The base can be proven from fragments, and so can the rest of a merge. That the fragment which a
    repair made is what the method makes needs the model.
    """

    render: Receipt
    """Of the prefixes and the derived fragment."""
    derivation: Derivation
    base: Receipt
    """Of the fragments that the derivation began with."""


def companion_of(derivation: Derivation) -> StateName:
    """Return the name of the state in which the result of a derivation is looked for and kept."""
    name = f"{derivation.operation}.{derivation.derivation_id}"
    return StateName(name[:MAX_NAME_CHARS])


def check_repairable(plan: RenderPlan) -> None:
    """Raise UnrepairableError unless the plan lays its rows out as one sequence, in all layers."""
    if plan.layout is not Layout.SEQUENTIAL:
        raise UnrepairableError(
            f"render {plan.render_id}: expected layout sequential, where every token has the "
            f"position that a prefill of all would give it, got {plan.layout}",
            layout=str(plan.layout),
        )
    if plan.layers != LayerRange(0, len(plan.geometry.layers)):
        raise UnrepairableError(
            f"render {plan.render_id}: expected all {len(plan.geometry.layers)} layers, got "
            f"{plan.layers.first} to {plan.layers.stop - 1}: each is computed from the one below"
        )


def stands_for(
    derived: FragmentHeader, plan: RenderPlan, headers: Mapping[FragmentId, FragmentHeader]
) -> bool:
    """Return whether a member of a companion state may be what a repair of the plan made.

    It has the plan's class, place and tokens; that it has the right rows, only doing it again can
    tell. Of several such members everyone takes the one with the smallest id: model runs differ
    between machines, so there may be several, and all come to the same one.
    """
    if _mismatch(plan, derived) is not None:
        return False
    joined = joined_token_bytes(headers[p.fragment_id] for p in plan.placements)
    return joined in (None, derived.token_bytes)


def place_derived(
    plan: RenderPlan,
    derived: FragmentHeader,
    prefixes: Iterable[FragmentHeader],
    *,
    layers: LayerRange | None = None,
) -> RenderPlan:
    """Return the plan that renders a derived fragment of ``plan``, behind the same prefixes.

    ``layers``: those that its stream carries; all if left out. Raises IncompatibleFragmentsError
    unless the fragment has the class and place of what it is to stand for.
    """
    wrong = _mismatch(plan, derived)
    if wrong is not None:
        raise IncompatibleFragmentsError(
            f"derived fragment {derived.fragment_id}: {wrong}", id=str(derived.fragment_id)
        )
    return place([derived], list(prefixes), layers=layers)


def plan_of_derived(
    source: RenderPlan, derived: FragmentId, layers: LayerRange | None = None
) -> RenderPlan:
    """Return the plan that renders the derived fragment of this id, as `place_derived` would."""
    placement = Placement(derived, source.base, source.next_position - source.base, source.base)
    whole = LayerRange(0, len(source.geometry.layers))
    return RenderPlan(
        source.geometry, Layout.SEQUENTIAL, source.prefixes, (placement,), layers or whole
    )


def branches_of(merged: RenderPlan, inputs: Iterable[FragmentId]) -> RenderPlan:
    """Return the plan of the branches that were merged into what ``merged`` renders.

    They lie where what came of them does: so it takes no more than their ids.
    """
    (placement,) = merged.placements
    return RenderPlan(
        merged.geometry,
        Layout.PARALLEL,
        merged.prefixes,
        tuple(
            Placement(i, placement.start, placement.seq_len, placement.new_start) for i in inputs
        ),
        LayerRange(0, len(merged.geometry.layers)),
    )


def joined_token_bytes(headers: Iterable[FragmentHeader]) -> bytes | None:
    """Return the token ids of fragments in a row, as a header holds them; None if one withholds."""
    parts = [header.token_bytes for header in headers]
    return None if None in parts else b"".join(part for part in parts if part is not None)


def _mismatch(plan: RenderPlan, derived: FragmentHeader) -> str | None:
    """Return how a header differs from one that a derivation of the plan makes, or None."""
    prefix = plan.prefixes[-1].fragment_id if plan.prefixes else None
    pairs: dict[str, tuple[object, object]] = {
        "geometry": (plan.geometry, derived.geometry),
        "prefix": (prefix, derived.prefix),
        "start": (plan.base, derived.start),
        "stop": (plan.next_position, derived.stop),
    }
    for name, (expected, actual) in pairs.items():
        if actual != expected:
            return f"expected the {name} {expected!s:.80} of the plan, got {actual!s:.80}"
    return None
