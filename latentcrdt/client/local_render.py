"""Do a server's planning and rendering again from the fragments, believing none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latentcrdt.client.values import read_ids, reading
from latentcrdt.core.documents import PlanDocument
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, RenderId
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
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
    stride = None
    if plan.layout is Layout.SLOTTED:
        first, *rest = plan.placements
        stride = rest[0].new_start - first.new_start if rest else first.seq_len
    num_layers = len(plan.geometry.layers)
    whole = plan.layers == LayerRange(0, num_layers)
    return RenderQuery(
        plan.layout,
        stride,
        tuple(p.fragment_id for p in plan.placements),
        plan.class_id,
        None if whole else f"{plan.layers.first}:{plan.layers.stop}",
    )


def check_plan(plan: RenderPlan, query: RenderQuery) -> None:
    """Raise UnexpectedAnswerError unless the plan is one that the query may be answered with."""
    if len({p.fragment_id for p in plan.placements}) != len(plan.placements):
        raise UnexpectedAnswerError(f"render {plan.render_id}: expected each fragment once")
    got = pinned(plan)
    layers = LayerRange.parse(query.layers or ":", len(plan.geometry.layers))
    differs = {
        "layout": got.layout is not query.layout,
        "stride": len(plan.placements) > 1 and got.stride != query.stride,
        "order": query.order is not None and got.order != query.order,
        "class": query.class_id is not None and got.class_id != query.class_id,
        "layers": plan.layers != layers,
    }
    if any(differs.values()):
        names = ", ".join(name for name, differ in differs.items() if differ)
        raise UnexpectedAnswerError(
            f"render {plan.render_id}: expected the {names} that was asked for, got another"
        )


def render_fragments(
    announced: AnnouncedPlan,
    query: RenderQuery,
    fragments: Mapping[FragmentId, Fragment],
    max_bytes: int,
) -> Render:
    """Return the render of these fragments, once it is sure to be the one that was planned.

    The order is sorted again by keys computed here, the positions are placed again from the
    headers, and the render id must come out as the server named it: else UnexpectedAnswerError.
    That the plan leaves no member out is the one thing that fragments alone cannot show.
    """
    # The engine loads numpy, and torch where it is installed: only whoever renders pays for it.
    from latentcrdt.render.sort_key import sort_key  # noqa: PLC0415
    from latentcrdt.render.stream import render  # noqa: PLC0415

    order = announced.order
    if query.order is None:
        expected = canonical_order((sort_key(fragments[i]), i) for i in order)
        if expected != list(order):
            raise UnexpectedAnswerError(
                f"render {announced.render_id}: expected the canonical order "
                f"{list(map(str, expected))}, got {list(map(str, order))}"
            )
    headers = [fragments[i].header for i in order]
    layers = None
    if query.layers is not None and headers:
        layers = LayerRange.parse(query.layers, len(headers[0].geometry.layers))
    plan = place(
        headers,
        [fragments[i].header for i in announced.prefixes],
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
    return render(plan, fragments)
