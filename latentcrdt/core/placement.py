"""Order and place fragments: from headers and sort keys to a plan (RENDER_SPEC sections 3, 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from latentcrdt.core.compatibility import class_of
from latentcrdt.core.geometry import MAX_POSITION
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
    for header in headers:
        _check_class(header, headers[0])
    base = _check_chain(headers[0], prefixes)
    longest = max(header.seq_len for header in headers)
    if (stride is not None) != (layout is Layout.SLOTTED) or (
        stride is not None and stride < longest
    ):
        raise InvalidRequestError(
            f"stride: expected one of at least {longest} (the longest fragment) with layout "
            f"slotted, and none otherwise; got {stride} with {layout}"
        )
    if len(headers) + len(prefixes) > MAX_ENTRIES:
        raise TooLargeError(
            f"expected a render of at most {MAX_ENTRIES} fragments, got {len(headers)}",
            limit=MAX_ENTRIES,
        )
    starts = starts_of([h.seq_len for h in headers], base=base, layout=layout, stride=stride)
    placements = [
        Placement(header.fragment_id, header.start, header.seq_len, start)
        for header, start in zip(headers, starts, strict=True)
    ]
    if max(p.new_stop for p in placements) >= MAX_POSITION:
        raise IncompatibleFragmentsError("expected a render that ends before position 2^31")
    return RenderPlan(
        headers[0].geometry,
        layout,
        tuple(Placement(p.fragment_id, p.start, p.seq_len, p.start) for p in prefixes),
        tuple(placements),
        layers or LayerRange(0, len(headers[0].geometry.layers)),
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


def _check_class(header: FragmentHeader, first: FragmentHeader) -> None:
    if class_of(header) != class_of(first):
        raise IncompatibleFragmentsError(
            f"fragment {header.fragment_id}: expected class {class_of(first)}, "
            f"got {class_of(header)}",
            id=str(header.fragment_id),
            expected=str(class_of(first)),
            actual=str(class_of(header)),
        )


def _check_chain(first: FragmentHeader, prefixes: Sequence[FragmentHeader]) -> int:
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
        if prefix.geometry != first.geometry:
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
