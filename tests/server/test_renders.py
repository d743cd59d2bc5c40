from __future__ import annotations

import httpx2
import pytest

from latentcrdt.core.claims import read_receipt
from latentcrdt.core.documents import plan_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.rendered import Render
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_geometry
from tests.server.conftest import FreshFragment
from tests.server.wire import push


def local_plan(
    fragments: list[Fragment], prefixes: tuple[Fragment, ...] = (), **choices: object
) -> RenderPlan:
    by_id = {f.fragment_id: f for f in fragments}
    order = canonical_order((sort_key(f), f.fragment_id) for f in fragments)
    headers = [by_id[i].header for i in order]
    return place(headers, [p.header for p in prefixes], **choices)  # type: ignore[arg-type]


@pytest.fixture
def fragments(http: httpx2.Client, state: str, fresh: FreshFragment) -> list[Fragment]:
    made = [fresh(seq_len=n) for n in (5, 9, 2)]
    for fragment in made:
        assert push(http, state, fragment).status_code == 201
    return made


@pytest.mark.parametrize("dtype", list(Dtype))
@pytest.mark.parametrize("windows", [(), (4, None, 3)])
def test_the_server_renders_what_anyone_renders(
    http: httpx2.Client,
    state: str,
    fresh: FreshFragment,
    dtype: Dtype,
    windows: tuple[int | None, ...],
) -> None:
    geometry = make_geometry(dtype=dtype, windows=windows)
    prefix = fresh(geometry=geometry, seq_len=3)
    behind = [
        fresh(geometry=geometry, start=3, seq_len=n, prefix=prefix.fragment_id) for n in (4, 7)
    ]
    for fragment in (*behind, prefix):
        push(http, state, fragment)
    answer = http.get(f"/v1/states/{state}/render")
    plan = local_plan(behind, (prefix,))
    held = {f.fragment_id: f for f in (prefix, *behind)}
    assert answer.content == render(plan, held).to_bytes()
    assert answer.headers["render-id"] == str(plan.render_id)
    assert answer.headers["etag"] == f'"{plan.etag}"'
    assert answer.headers["content-type"] == "application/vnd.latentcrdt.render"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_any_range_of_a_render_is_those_bytes(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    whole = http.get(f"/v1/states/{state}/render").content
    for start, stop in ((0, 1), (100, 700), (511, 513), (len(whole) - 1, len(whole))):
        headers = {"range": f"bytes={start}-{stop - 1}"}
        answer = http.get(f"/v1/states/{state}/render", headers=headers)
        assert answer.status_code == 206
        assert answer.content == whole[start:stop]


def test_layers_are_a_stream_of_their_own(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    whole = Render.from_buffer(http.get(f"/v1/states/{state}/render").content)
    answer = http.get(f"/v1/states/{state}/render", params={"layers": "1:2"})
    part = Render.from_buffer(answer.content)
    assert part.keys(1) == whole.keys(1)
    assert part.values(1) == whole.values(1)
    assert answer.headers["etag"] == f'"{whole.plan.render_id}.1-2"'
    assert answer.headers["render-id"] == str(whole.plan.render_id)


def test_head_of_a_render_knows_its_length_and_name(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    head, got = (http.request(m, f"/v1/states/{state}/render") for m in ("HEAD", "GET"))
    assert head.content == b""
    for name in ("content-length", "etag", "render-id"):
        assert head.headers[name] == got.headers[name]


def test_a_known_render_is_not_made_again_until_the_state_grows(
    http: httpx2.Client, state: str, fragments: list[Fragment], fresh: FreshFragment
) -> None:
    for call in ("render", "plan", "receipt"):
        tag = http.get(f"/v1/states/{state}/{call}").headers["etag"]
        again = http.get(f"/v1/states/{state}/{call}", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
    tag = http.get(f"/v1/states/{state}/render").headers["etag"]
    push(http, state, fresh())
    after = http.get(f"/v1/states/{state}/render", headers={"if-none-match": tag})
    assert after.status_code == 200


def test_the_plan_says_what_the_render_will_be(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    plan = local_plan(fragments)
    assert http.get(f"/v1/states/{state}/plan").json() == plan_document(plan)
    slotted = local_plan(fragments, layout=Layout.SLOTTED, stride=16)
    params = {"layout": "slotted", "stride": "16"}
    assert http.get(f"/v1/states/{state}/plan", params=params).json() == plan_document(slotted)


def test_the_receipt_verifies_a_render_made_elsewhere(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    plan = local_plan(fragments)
    receipt = read_receipt(http.get(f"/v1/states/{state}/receipt").json(), plan)
    receipt.check(list(run_digests(plan, {f.fragment_id: f for f in fragments})))
    assert list(receipt.keys) == sorted(sort_key(f) for f in fragments)


def test_an_explicit_order_is_rendered_as_asked(
    http: httpx2.Client, state: str, fragments: list[Fragment]
) -> None:
    a, b = fragments[:2]
    renders = []
    for order in ((a, b), (b, a)):
        params = {"order": ",".join(str(f.fragment_id) for f in order)}
        answer = http.get(f"/v1/states/{state}/render", params=params)
        expected = render(place([f.header for f in order]), {f.fragment_id: f for f in order})
        assert answer.content == expected.to_bytes()
        renders.append(answer.content)
    assert renders[0] != renders[1]


def test_two_classes_in_one_state_must_be_told_apart_by_name(
    http: httpx2.Client, state: str, fragments: list[Fragment], fresh: FreshFragment
) -> None:
    other = fresh(geometry=make_geometry(num_layers=2))
    push(http, state, other)
    answer = http.get(f"/v1/states/{state}/render")
    listed = {c["id"] for c in http.get(f"/v1/states/{state}").json()["classes"]}
    assert (answer.status_code, answer.json()["code"]) == (409, "ambiguous_class")
    assert set(answer.json()["details"]["classes"]) == listed
    for name in listed:
        chosen = http.get(f"/v1/states/{state}/render", params={"class": name})
        assert str(Render.from_buffer(chosen.content).plan.class_id) == name


@pytest.mark.parametrize(
    "query",
    [
        "layout=spiral",
        "layout=slotted",
        "stride=5",
        "stride=-1",
        "layout=slotted&stride=1",
        "colour=red",
        "layers=0:1&layers=0:1",
        "order=&order=",
        "layers=a:b",
    ],
)
def test_a_render_query_that_means_nothing_is_an_invalid_request(
    http: httpx2.Client, state: str, fragments: list[Fragment], query: str
) -> None:
    answer = http.get(f"/v1/states/{state}/render?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
