"""A render is a function of the set and the query: these bytes, on any server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from latentcrdt.core.documents import plan_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.render.proof import prove
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all, fragment_sets, listed
from latentcrdt.testing.conformance.expectations import equal, same_bytes
from latentcrdt.testing.conformance.expected import ENGINE, plan_of, rendered
from latentcrdt.testing.conformance.server import Server

renders = Group("renders")

RENDER = "docs/format.md section 7"
ARITHMETIC = "docs/format.md section 8"
RECEIPT = "docs/format.md section 7, Receipt"


@dataclass(frozen=True, slots=True)
class Asked:
    """A state of one class, and one render of it."""

    fragments: tuple[Fragment, ...]
    """As they are pushed."""
    query: RenderQuery
    plan: RenderPlan

    def __str__(self) -> str:
        return f"{listed(self.fragments)}; pushed in this order, asked for {self.query.to_params()}"


def _bytes_of(dtype: Dtype, server: Server) -> None:
    for_all(
        _asked(server, layouts=(Layout.SEQUENTIAL,), dtypes=(dtype,)),
        lambda example: _renders(server, example),
        max_examples=10,
    )


@renders.check(ARITHMETIC)
def canonical_bf16(server: Server) -> None:
    """Fragments in bf16 render in the order of their sort keys, to the bytes specified."""
    _bytes_of(Dtype.BF16, server)


@renders.check(ARITHMETIC)
def canonical_f16(server: Server) -> None:
    """Fragments in f16 render in the order of their sort keys, to the bytes specified."""
    _bytes_of(Dtype.F16, server)


@renders.check(ARITHMETIC)
def canonical_f32(server: Server) -> None:
    """Fragments in f32 render in the order of their sort keys, to the bytes specified."""
    _bytes_of(Dtype.F32, server)


@renders.check(ARITHMETIC)
def equal_keys(server: Server) -> None:
    """Fragments with equal sort keys come in the order of their ids."""
    one = server.fresh()
    same = [
        Fragment.build(
            one.header.geometry,
            [(one.keys(i), one.values(i)) for i in range(len(one.header.geometry.layers))],
            start=start,
            seq_len=one.header.seq_len,
        )
        for start in (0, 3, 8, 21, 55)
    ]
    state = server.holding(*same)
    _same_render(server, state, {}, plan_of(same), same)


@renders.check(RENDER)
def layouts(server: Server) -> None:
    """Layouts parallel and slotted place and turn fragments as specified."""
    for_all(
        _asked(server, layouts=(Layout.SLOTTED, Layout.PARALLEL)),
        lambda example: _renders(server, example),
        max_examples=10,
    )


@renders.check(RENDER)
def chosen_order(server: Server) -> None:
    """``order=`` renders these members in this order, whatever their keys; the others are left."""
    fragments = [server.fresh(seq_len=n) for n in (3, 5, 2)]
    state = server.holding(*fragments)
    a, b, c = fragments
    for chosen in ([a, b], [b, a], [c, b, a], [b]):
        params = {"order": ",".join(str(f.fragment_id) for f in chosen)}
        _same_render(server, state, params, place([f.header for f in chosen]), chosen)


@renders.check(RENDER)
def layer_ranges(server: Server) -> None:
    """``layers=a:b`` renders a stream of these layers alone, under a name of its own."""
    fragments = [server.fresh(num_layers=4, windows=(None, 4)) for _ in range(2)]
    state = server.holding(*fragments)
    for text, chosen in (("0:1", (0, 1)), ("1:3", (1, 3)), (":2", (0, 2)), ("3:", (3, 4))):
        plan = plan_of(fragments, layers=LayerRange(*chosen))
        _same_render(server, state, {"layers": text}, plan, fragments)


@renders.check(RENDER)
def sliding_layers(server: Server) -> None:
    """A sliding layer of a render has the last window - 1 rows of the concatenation."""
    fragments = [server.fresh(windows=(6, None), seq_len=n) for n in (4, 9, 2)]
    state = server.holding(*fragments)
    _same_render(server, state, {}, plan_of(fragments), fragments)


@renders.check(RENDER)
def prefixes(server: Server) -> None:
    """The chain of prefixes comes first, unturned, and is no contribution of its own."""
    outer = server.fresh(seq_len=2)
    inner = server.fresh(start=2, seq_len=3, prefix=outer.fragment_id)
    behind = [server.fresh(start=5, seq_len=n, prefix=inner.fragment_id) for n in (4, 1)]
    state = server.holding(outer, inner, *behind)
    plan = plan_of(behind, (outer, inner))
    _same_render(server, state, {}, plan, [outer, inner, *behind])


@renders.check(RENDER)
def classes(server: Server) -> None:
    """``class=`` chooses among the classes of a state; a listing names and counts them."""
    first = [server.fresh(num_layers=1) for _ in range(2)]
    second = [server.fresh(num_layers=2)]
    state = server.holding(first[0], *second, first[1])
    plans = [(plan_of(members), members) for members in (first, second)]
    counts = sorted((str(plan.class_id), len(members)) for plan, members in plans)
    listing = server.get(f"/v1/states/{state}").expect(200)
    listing.covers({"classes": [{"id": name, "fragments": n} for name, n in counts]})
    for plan, members in plans:
        _same_render(server, state, {"class": str(plan.class_id)}, plan, members)


@renders.check(RENDER)
def plans(server: Server) -> None:
    """A plan says what the render will be, before any byte of it."""

    def test(example: Asked) -> None:
        state = _pushed(server, example.fragments)
        path = f"/v1/states/{state}/plan"
        answer = server.ask("GET", path, params=example.query.to_params()).expect(200)
        answer.covers(plan_document(example.plan))
        equal(f"{answer.asked}: Render-Id", str(example.plan.render_id), answer.header("render-id"))

    for_all(_asked(server), test, max_examples=10)


@renders.check(RECEIPT)
def receipts(server: Server) -> None:
    """A receipt is proved by the fragments: plan, sort keys, and the digest of every section."""

    def test(example: Asked) -> None:
        state = _pushed(server, example.fragments)
        path = f"/v1/states/{state}/receipt"
        answer = server.ask("GET", path, params=example.query.to_params()).expect(200)
        answer.covers({"plan": plan_document(example.plan)})
        prove(answer.document(), {f.fragment_id: f for f in example.fragments}, engine=ENGINE)

    for_all(_asked(server), test, max_examples=10)


def _pushed(server: Server, fragments: tuple[Fragment, ...]) -> str:
    state = server.fresh_state()
    for fragment in fragments:
        server.push(state, fragment).expect(200, 201)
    return state


def _renders(server: Server, example: Asked) -> None:
    state = _pushed(server, example.fragments)
    _same_render(server, state, example.query.to_params(), example.plan, example.fragments)


def _same_render(
    server: Server,
    state: str,
    params: Mapping[str, str],
    plan: RenderPlan,
    fragments: list[Fragment] | tuple[Fragment, ...],
) -> None:
    answer = server.ask("GET", f"/v1/states/{state}/render", params=params).expect(200)
    same_bytes(answer.asked, rendered(plan, fragments), answer.body)
    equal(f"{answer.asked}: Content-Length", str(len(answer.body)), answer.header("content-length"))
    equal(f"{answer.asked}: ETag", f'"{plan.etag}"', answer.header("etag"))
    equal(f"{answer.asked}: Render-Id", str(plan.render_id), answer.header("render-id"))
    expected_type = "application/vnd.latentcrdt.render"
    equal(f"{answer.asked}: Content-Type", expected_type, answer.media_type)


@st.composite
def _asked(
    draw: st.DrawFn,
    server: Server,
    *,
    layouts: tuple[Layout, ...] = tuple(Layout),
    dtypes: tuple[Dtype, ...] = tuple(Dtype),
) -> Asked:
    fragments = draw(fragment_sets(server.model_id, dtypes=dtypes, min_size=2))
    layout = draw(st.sampled_from(layouts))
    longest = max(f.header.seq_len for f in fragments)
    stride = longest + draw(st.integers(0, 40)) if layout is Layout.SLOTTED else None
    query = RenderQuery(layout=layout, stride=stride)
    return Asked(fragments, query, plan_of(fragments, layout=layout, stride=stride))
