from __future__ import annotations

import json

import httpx2
import pytest

from latentcrdt.core.documents import header_document
from latentcrdt.core.encoding import pack_document, unpack_document
from latentcrdt.core.state import LatentState
from latentcrdt.render.sort_key import sort_key
from latentcrdt.testing.fragments import make_geometry
from tests.server.conftest import FreshFragment
from tests.server.wire import push

ABSENT = "0" * 64


def test_declaring_a_state_makes_an_empty_one_once(http: httpx2.Client, state: str) -> None:
    assert http.get(f"/v1/states/{state}").status_code == 404
    first, again = (http.put(f"/v1/states/{state}") for _ in range(2))
    assert (first.status_code, first.json()) == (201, {"name": state, "created": True})
    assert (again.status_code, again.json()) == (200, {"name": state, "created": False})
    listing = http.get(f"/v1/states/{state}").json()
    assert listing == {"name": state, "root": str(LatentState().root), "classes": [], "members": []}


def test_a_state_lists_its_members_with_headers_keys_and_classes(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragments = [fresh(), fresh(), fresh(geometry=make_geometry(num_layers=1))]
    for fragment in fragments:
        push(http, state, fragment)
    document = http.get(f"/v1/states/{state}").json()
    fragments.sort(key=lambda f: f.fragment_id)
    assert document["root"] == str(LatentState(f.fragment_id for f in fragments).root)
    keys = [sort_key(f) for f in fragments]
    assert document["members"] == [
        {**header_document(f.header), "key": key, "key_hex": key.hex()}
        for f, key in zip(fragments, keys, strict=True)
    ]
    counts = {c["id"]: c["fragments"] for c in document["classes"]}
    classes = [str(f.header.class_id) for f in fragments]
    assert counts == {c: classes.count(c) for c in classes}
    assert {"name": state, "root": document["root"], "fragments": 3} in http.get(
        "/v1/states"
    ).json()["states"]


def test_every_document_is_the_same_in_json_and_msgpack(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    push(http, state, fresh())
    for path in ("", f"/{state}", f"/{state}/plan", f"/{state}/receipt"):
        readable = http.get("/v1/states" + path)
        packed = http.get("/v1/states" + path, headers={"accept": "application/msgpack"})
        assert readable.headers["content-type"] == "application/json"
        assert packed.headers["content-type"] == "application/msgpack"
        assert unpack_document(packed.content) == readable.json()
        assert readable.headers["vary"] == packed.headers["vary"] == "Accept"


def test_the_root_is_the_etag_of_a_state(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    push(http, state, fresh())
    answer = http.get(f"/v1/states/{state}")
    tag = answer.headers["etag"]
    assert tag == f'"{answer.json()["root"]}"'
    assert http.get(f"/v1/states/{state}", headers={"if-none-match": tag}).status_code == 304
    push(http, state, fresh())
    assert http.get(f"/v1/states/{state}", headers={"if-none-match": tag}).status_code == 200


def test_a_held_fragment_becomes_a_member_of_another_state_without_being_sent(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    push(http, state, fragment)
    path = f"/v1/states/{state}.copy/members/{fragment.fragment_id}"
    first, again = http.put(path), http.put(path)
    expected = {"id": str(fragment.fragment_id), "state": f"{state}.copy"}
    assert (first.status_code, first.json()) == (201, {**expected, "created": True})
    assert (again.status_code, again.json()) == (200, {**expected, "created": False})
    roots = [http.get(f"/v1/states/{name}").json()["root"] for name in (state, f"{state}.copy")]
    assert roots[0] == roots[1]


def test_a_fragment_that_is_not_held_cannot_become_a_member(
    http: httpx2.Client, state: str
) -> None:
    answer = http.put(f"/v1/states/{state}/members/{ABSENT}")
    assert (answer.status_code, answer.json()["code"]) == (404, "fragment_not_found")
    assert http.get(f"/v1/states/{state}").status_code == 404


@pytest.mark.parametrize("packs", [False, True])
def test_missing_names_what_is_not_held_in_the_order_asked(
    http: httpx2.Client, state: str, fresh: FreshFragment, packs: bool
) -> None:
    held, lacking = fresh(), fresh()
    push(http, state, held)
    ids = [ABSENT, str(held.fragment_id), str(lacking.fragment_id)]
    media_type = "application/vnd.msgpack" if packs else "application/json"
    encode = pack_document if packs else lambda d: json.dumps(d).encode()
    answer = http.post(
        "/v1/fragments/missing",
        content=encode({"ids": ids}),
        headers={"content-type": media_type, "accept": media_type},
    )
    document = unpack_document(answer.content) if packs else answer.json()
    assert document == {"missing": [ABSENT, str(lacking.fragment_id)]}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "invalid_request"),
        ({}, "invalid_request"),
        ({"ids": "abc"}, "invalid_request"),
        ({"ids": [1]}, "invalid_request"),
        ({"ids": [ABSENT] * 10_001}, "invalid_request"),
        ({"ids": ["abc"]}, "invalid_id"),
        ({"ids": [ABSENT.replace("0", "A")]}, "invalid_id"),
        ({"ids": [ABSENT] * 20_000}, "too_large"),
    ],
)
def test_a_question_for_missing_fragments_that_is_none_is_refused(
    http: httpx2.Client, document: object, code: str
) -> None:
    answer = http.post("/v1/fragments/missing", json=document)
    assert answer.json()["code"] == code


def test_ten_thousand_ids_may_be_asked_for_at_once(http: httpx2.Client) -> None:
    answer = http.post("/v1/fragments/missing", json={"ids": [ABSENT] * 10_000})
    assert len(answer.json()["missing"]) == 10_000


@pytest.mark.parametrize("name", ["Upper", "-dash", ".dot", "a" * 64, "a b", "é", "a%2Fb", "a%0A"])
def test_an_illegal_state_name_is_refused_by_every_call(
    http: httpx2.Client, fresh: FreshFragment, name: str
) -> None:
    answers = [
        http.put(f"/v1/states/{name}"),
        http.get(f"/v1/states/{name}"),
        http.get(f"/v1/states/{name}/render"),
        push(http, name, fresh()),
    ]
    codes = {a.json()["code"] for a in answers}
    # A slash makes another path of it.
    assert codes == ({"route_not_found"} if name == "a%2Fb" else {"invalid_state_name"})
