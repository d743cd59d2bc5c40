"""Order and place fragments: from headers and sort keys to a plan (RENDER_SPEC sections 3, 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol

from latentcrdt.core.compatibility import Classed
from latentcrdt.core.geometry import MAX_POSITION, Geometry
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import MAX_ENTRIES, LayerRange, Layout, Placement, RenderPlan
from latentcrdt.errors import (
    IncompatibleFragmentsError,
    InvalidRequestError,
    NothingToRenderError,
    TooLargeError,
)


def canonical_order(keys: Iterable[tuple[float, FragmentId]]) -> list[FragmentId]:
    """Return the ids by ascending sort key, ties by ascending id bytes (RENDER_SPEC section 3)."""
    return [fragment_id for _, fragment_id in sorted(keys)]


class Placeable(Classed, Protocol):
    """A fragment as far as a plan needs it: a header, or a summary of one."""

    @property
    def fragment_id(self) -> FragmentId:
        """Its id."""

    @property
    def start(self) -> int:
        """Position of its first token at capture."""

    @property
    def seq_len(self) -> int:
        """Number of its tokens."""


def place(
    headers: Sequence[FragmentHeader],
    prefixes: Sequence[FragmentHeader] = (),
    *,
    layout: Layout = Layout.SEQUENTIAL,
    stride: int | None = None,
    layers: LayerRange | None = None,
) -> RenderPlan:
    """Place fragments, in the order given, behind their chain of prefixes (outermost first).

    Raises NothingToRenderError, IncompatibleFragmentsError (another class, a prefix chain with a
    gap, positions past 2^31), or InvalidRequestError for a stride that does not fit the layout.
    """
    if not headers:
        raise NothingToRenderError("expected at least one fragment to render, got none")
    return place_members(
        headers[0].geometry, headers, prefixes, layout=layout, stride=stride, layers=layers
    )


def place_members(
    geometry: Geometry,
    members: Sequence[Placeable],
    prefixes: Sequence[FragmentHeader],
    *,
    layout: Layout,
    stride: int | None,
    layers: LayerRange | None,
) -> RenderPlan:
    """Place at least one fragment as `place` does; ``geometry`` is that of the first."""
    for member in members:
        _check_class(member, members[0])
    base = _check_chain(geometry, members[0], prefixes)
    longest = max(member.seq_len for member in members)
    if (stride is not None) != (layout is Layout.SLOTTED) or (
        stride is not None and stride < longest
    ):
        raise InvalidRequestError(
            f"stride: expected one of at least {longest} (the longest fragment) with layout "
            f"slotted, and none otherwise; got {stride} with {layout}"
        )
    if len(members) + len(prefixes) > MAX_ENTRIES:
        raise TooLargeError(
            f"expected a render of at most {MAX_ENTRIES} fragments, got {len(members)}",
            limit=MAX_ENTRIES,
        )
    starts = starts_of([m.seq_len for m in members], base=base, layout=layout, stride=stride)
    placements = [
        Placement(member.fragment_id, member.start, member.seq_len, start)
        for member, start in zip(members, starts, strict=True)
    ]
    if max(p.new_stop for p in placements) >= MAX_POSITION:
        raise IncompatibleFragmentsError("expected a render that ends before position 2^31")
    return RenderPlan(
        geometry,
        layout,
        tuple(Placement(p.fragment_id, p.start, p.seq_len, p.start) for p in prefixes),
        tuple(placements),
        layers or LayerRange(0, len(geometry.layers)),
    )


def starts_of(
    seq_lens: Sequence[int], *, base: int, layout: Layout, stride: int | None
) -> list[int]:
    """Return where fragments of these lengths start (RENDER_SPEC section 4)."""
    if layout is Layout.SEQUENTIAL:
        return list(accumulate(seq_lens[:-1], initial=base))
    return [base + j * (stride or 0) for j in range(len(seq_lens))]


def stride_of(plan: RenderPlan) -> int | None:
    """Return the stride by which `place` makes this plan; None unless its layout is slotted.

    A single fragment stands where it does whatever the stride: the least that fits is named.
    """
    if plan.layout is not Layout.SLOTTED:
        return None
    first, *rest = plan.placements
    return rest[0].new_start - first.new_start if rest else first.seq_len


def _check_class(member: Placeable, first: Placeable) -> None:
    if member.class_id != first.class_id:
        raise IncompatibleFragmentsError(
            f"fragment {member.fragment_id}: expected class {first.class_id}, "
            f"got {member.class_id}",
            id=str(member.fragment_id),
            expected=str(first.class_id),
            actual=str(member.class_id),
        )


def _check_chain(geometry: Geometry, first: Placeable, prefixes: Sequence[FragmentHeader]) -> int:
    """Check that the prefixes chain up to the fragments without a gap; return the base."""
    expected: FragmentId | None = None
    base = 0
    for i, prefix in enumerate(prefixes):
        if prefix.prefix != expected or (i and prefix.start != base):
            raise IncompatibleFragmentsError(
                f"prefix {prefix.fragment_id}: expected to be captured behind {expected} at "
                f"position {base}, got {prefix.prefix} at {prefix.start}",
                id=str(prefix.fragment_id),
            )
        if prefix.geometry != geometry:
            raise IncompatibleFragmentsError(
                f"prefix {prefix.fragment_id}: expected the geometry of the fragments behind it",
                id=str(prefix.fragment_id),
            )
        expected, base = prefix.fragment_id, prefix.stop
    if first.prefix != expected:
        raise IncompatibleFragmentsError(
            f"fragment {first.fragment_id}: expected prefix {first.prefix}, got {expected}",
            id=str(first.fragment_id),
        )
    return base
