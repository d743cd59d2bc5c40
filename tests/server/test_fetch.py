from __future__ import annotations

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from tests.server.conftest import FreshFragment
from tests.server.wire import Wire, push


@pytest.fixture
def fragment(http: httpx2.Client, state: str, fresh: FreshFragment) -> Fragment:
    made = fresh()
    assert push(http, state, made).status_code == 201
    return made


def test_a_fragment_is_immutable_and_says_so(http: httpx2.Client, fragment: Fragment) -> None:
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}")
    assert answer.headers["etag"] == f'"{fragment.fragment_id}"'
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["accept-ranges"] == "bytes"


def test_head_has_the_headers_of_get_and_no_bytes(
    server: ServerProcess, http: httpx2.Client, fragment: Fragment
) -> None:
    path = f"/v1/fragments/{fragment.fragment_id}"
    got = http.get(path).headers
    with Wire(server) as wire:
        wire.request("HEAD", path)
        head = wire.read_until(b"\r\n\r\n").decode().lower()
        wire.request("GET", "/healthz")
        assert wire.answer().body == b'{"status":"ok"}'
    assert f"content-length: {fragment.num_bytes}\r\n" in head
    for name in ("etag", "accept-ranges", "cache-control", "content-type"):
        assert f"{name}: {got[name].lower()}\r\n" in head
    assert http.head(f"/v1/fragments/{'0' * 64}").status_code == 404


@pytest.mark.parametrize("asked", ["0-0", "5-", "-10", "1000-1200", "15-16", "0-100000"])
def test_a_range_is_exactly_those_bytes(
    http: httpx2.Client, fragment: Fragment, asked: str
) -> None:
    whole = fragment.to_bytes()
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}", headers={"range": f"bytes={asked}"})
    first, _, last = asked.partition("-")
    start = int(first) if first else len(whole) - int(last)
    stop = min(int(last) + 1, len(whole)) if first and last else len(whole)
    assert answer.status_code == 206
    assert answer.content == whole[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def test_a_range_past_the_end_is_416_with_the_size(http: httpx2.Client, fragment: Fragment) -> None:
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}", headers={"range": "bytes=999999-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{fragment.num_bytes}"
    assert answer.json()["code"] == "range_not_satisfiable"


def test_a_range_is_ignored_for_head_and_when_if_range_names_other_bytes(
    http: httpx2.Client, fragment: Fragment
) -> None:
    path = f"/v1/fragments/{fragment.fragment_id}"
    some = {"range": "bytes=0-9"}
    assert http.head(path, headers=some).status_code == 200
    assert http.get(path, headers={**some, "if-range": '"other"'}).status_code == 200
    same = {**some, "if-range": f'"{fragment.fragment_id}"'}
    assert http.get(path, headers=same).status_code == 206


def test_if_none_match_answers_304_without_bytes(http: httpx2.Client, fragment: Fragment) -> None:
    path = f"/v1/fragments/{fragment.fragment_id}"
    tag = f'"{fragment.fragment_id}"'
    for headers in ({"if-none-match": tag}, {"if-none-match": "*", "range": "bytes=0-9"}):
        answer = http.get(path, headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    assert http.get(path, headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(("layers", "chosen"), [("0:1", (0, 1)), ("1:3", (1, 3)), (":", (0, 3))])
def test_layers_are_their_bare_sections(
    http: httpx2.Client, fragment: Fragment, layers: str, chosen: tuple[int, int]
) -> None:
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}", params={"layers": layers})
    first, stop = chosen
    sections = b"".join(bytes(fragment.keys(i)) + fragment.values(i) for i in range(first, stop))
    assert answer.content == sections
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"] == f'"{fragment.fragment_id}.{first}-{stop}"'


def test_layers_that_the_fragment_has_not_are_416(http: httpx2.Client, fragment: Fragment) -> None:
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}", params={"layers": "2:9"})
    assert (answer.status_code, answer.json()["details"]["limit"]) == (416, 3)


@pytest.mark.parametrize("query", ["layers=0:1&layers=1:2", "layer=0:1", "layers=x", "layers="])
def test_a_query_that_means_nothing_is_an_invalid_request(
    http: httpx2.Client, fragment: Fragment, query: str
) -> None:
    answer = http.get(f"/v1/fragments/{fragment.fragment_id}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
