"""Do a server's planning and rendering again from the fragments, believing none of it.

That the plan leaves no member out is the one thing that fragments alone cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latentcrdt.client.values import read_ids, reading
from latentcrdt.core.documents import PlanDocument
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, RenderId
from latentcrdt.core.placement import canonical_order, place, starts_of, stride_of
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.errors import TooLargeError, UnexpectedAnswerError


@dataclass(frozen=True, slots=True)
class AnnouncedPlan:
    """What a server says it would render."""

    render_id: RenderId
    prefixes: tuple[FragmentId, ...]
    order: tuple[FragmentId, ...]

    @classmethod
    def read(cls, document: PlanDocument) -> AnnouncedPlan:
        """Return what a plan document announces."""
        with reading("a plan"):
            prefixes = read_ids([entry["id"] for entry in document["prefixes"]], "prefix")
            order = read_ids([entry["id"] for entry in document["fragments"]], "fragment")
            return cls(RenderId.parse(document["render_id"]), tuple(prefixes), tuple(order))


def pinned(plan: RenderPlan) -> RenderQuery:
    """Return the query that asks for this very plan by its ids, whatever the state is by then."""
    num_layers = len(plan.geometry.layers)
    whole = plan.layers == LayerRange(0, num_layers)
    return RenderQuery(
        plan.layout,
        stride_of(plan),
        tuple(p.fragment_id for p in plan.placements),
        plan.class_id,
        None if whole else f"{plan.layers.first}:{plan.layers.stop}",
    )


def check_plan(plan: RenderPlan, query: RenderQuery) -> None:
    """Raise UnexpectedAnswerError unless the plan is one that the query may be answered with."""
    if query.merge is not None:
        _check_merged(plan, query)
        return
    if len({p.fragment_id for p in plan.placements}) != len(plan.placements):
        raise UnexpectedAnswerError(f"render {plan.render_id}: expected each fragment once")
    got = pinned(plan)
    starts = starts_of(
        [p.seq_len for p in plan.placements], base=plan.base, layout=plan.layout, stride=got.stride
    )
    if [p.new_start for p in plan.placements] != starts:
        raise UnexpectedAnswerError(
            f"render {plan.render_id}: expected fragments placed as layout {plan.layout} says"
        )
    differs = {
        "layout": got.layout is not query.layout,
        "stride": len(plan.placements) > 1 and got.stride != query.stride,
        "order": query.order is not None and got.order != query.order,
        "class": query.class_id is not None and got.class_id != query.class_id,
        "layers": plan.layers != _layers(plan, query),
    }
    _check_same(plan, differs)


def check_canonical(receipt: Receipt, query: RenderQuery) -> None:
    """Raise UnexpectedAnswerError unless the order is that of the keys, or was asked for."""
    if query.order is None and not receipt.is_canonical:
        raise UnexpectedAnswerError(
            f"render {receipt.plan.render_id}: expected canonical order, got fragments whose "
            f"sort keys do not ascend"
        )


def plan_again(
    announced: AnnouncedPlan,
    query: RenderQuery,
    headers: Mapping[FragmentId, FragmentHeader],
    max_bytes: int,
) -> RenderPlan:
    """Return the plan that these headers make, if it is the one that was announced.

    Positions are placed again, and the render id must come out as the server named it: else
    UnexpectedAnswerError. TooLargeError for a render over ``max_bytes``.
    """
    placed = [headers[i] for i in announced.order]
    layers = None
    if query.layers is not None and placed:
        layers = LayerRange.parse(query.layers, len(placed[0].geometry.layers))
    plan = place(
        placed,
        [headers[i] for i in announced.prefixes],
        layout=query.layout,
        stride=query.stride,
        layers=layers,
    )
    if plan.render_id != announced.render_id:
        raise UnexpectedAnswerError(
            f"expected render {plan.render_id} of these fragments, got {announced.render_id}"
        )
    check_plan(plan, query)
    num_bytes = len(plan.framing) + plan.body_bytes
    if num_bytes > max_bytes:
        raise TooLargeError(
            f"render {plan.render_id}: expected at most {max_bytes} bytes, got {num_bytes}",
            limit=max_bytes,
        )
    return plan


def check_order(plan: RenderPlan, key_sections: Mapping[FragmentId, memoryview]) -> None:
    """Raise UnexpectedAnswerError unless the plan's order is canonical by keys computed here.

    ``key_sections`` holds the verified K of the layer that the sort key is taken from.
    """
    # numpy, and torch where it is installed, are loaded here: only whoever renders pays for them.
    from latentcrdt.render.sort_key import mean_norm  # noqa: PLC0415

    order = [p.fragment_id for p in plan.placements]
    expected = canonical_order((mean_norm(plan.geometry, key_sections[i]), i) for i in order)
    if expected != order:
        raise UnexpectedAnswerError(
            f"render {plan.render_id}: expected the canonical order "
            f"{list(map(str, expected))}, got {list(map(str, order))}"
        )


def render_here(
    plan: RenderPlan, fragments: Mapping[FragmentId, Fragment], reuse: Render | None
) -> Render:
    """Return the render of a plan that was checked."""
    from latentcrdt.render.stream import render  # noqa: PLC0415 - as above

    return render(plan, fragments, reuse=reuse)


def _check_merged(plan: RenderPlan, query: RenderQuery) -> None:
    """Raise UnexpectedAnswerError unless a plan is that of one fragment, where branches lay."""
    first, *rest = plan.placements
    differs = {
        "number of fragments": bool(rest),
        "layout": plan.layout is not Layout.SEQUENTIAL,
        "place": (first.start, first.new_start) != (plan.base, plan.base),
        "class": query.class_id is not None and plan.class_id != query.class_id,
        "layers": plan.layers != _layers(plan, query),
    }
    _check_same(plan, differs)


def _layers(plan: RenderPlan, query: RenderQuery) -> LayerRange:
    return LayerRange.parse(query.layers or ":", len(plan.geometry.layers))


def _check_same(plan: RenderPlan, differs: Mapping[str, bool]) -> None:
    if any(differs.values()):
        names = ", ".join(name for name, differ in differs.items() if differ)
        raise UnexpectedAnswerError(
            f"render {plan.render_id}: expected the {names} that was asked for, got another"
        )
