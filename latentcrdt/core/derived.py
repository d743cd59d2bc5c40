"""Derived rows as replicas share them: one fragment, in a state whose name says what made it.

Rows that were made out of a class of fragments (`derivation`) are no member beside these. They are
one fragment of the same class, from the class's base to the end of the sequence, and a member of a
companion state. So they replicate, are verified and are rendered as any fragment is, and whoever
wants the same rows computes the name and finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
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

    def receipt(self, base: Receipt) -> DerivedReceipt:
        """Return the receipt, given that of ``source``."""
        return DerivedReceipt(base, self.derivation, self.fragment_id)


@dataclass(frozen=True, slots=True)
class DerivedReceipt:
    """The receipt of the render that a derivation began with, and the name of what it made.

    The base receipt can be proven from fragments. That the derived fragment is what the method
    makes of them needs the model.
    """

    base: Receipt
    derivation: Derivation
    fragment_id: FragmentId
    """The derived fragment: BLAKE3 of its header, which holds the digest of every section."""


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
    derived: FragmentHeader,
    operation: Operation,
    plan: RenderPlan,
    headers: Mapping[FragmentId, FragmentHeader],
) -> bool:
    """Return whether a member of a companion state may be what a derivation of the plan made.

    It has the plan's class, place and, unless it is a merge, tokens; that it has the right rows,
    only doing it again can tell.
    Of several such members everyone takes the one with the smallest id: model runs differ between
    machines, so there may be several, and all come to the same one.
    """
    if _mismatch(plan, derived) is not None:
        return False
    if operation is Operation.MERGE:
        return derived.token_bytes is None  # rows of several branches have no token of their own
    joined = joined_token_bytes(headers[p.fragment_id] for p in plan.placements)
    return joined in (None, derived.token_bytes)


def place_derived(
    plan: RenderPlan, derived: FragmentHeader, prefixes: Iterable[FragmentHeader]
) -> RenderPlan:
    """Return the plan that renders a derived fragment of ``plan``, behind the same prefixes.

    Raises IncompatibleFragmentsError unless the fragment has the class and place of what it is to
    stand for.
    """
    wrong = _mismatch(plan, derived)
    if wrong is not None:
        raise IncompatibleFragmentsError(
            f"derived fragment {derived.fragment_id}: {wrong}", id=str(derived.fragment_id)
        )
    return place([derived], list(prefixes))


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
