"""``render?merge=``: conditions, refusals, and what a server keeps of merges."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from latentcrdt_server import merges as server_merges
from latentcrdt_server.merges import KEPT_BODIES, Merges

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.errors import BusyError
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.merging.search import SEARCHES
from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_geometry
from tests.merging.branches import fork, merged_here
from tests.server.conftest import FreshFragment
from tests.server.wire import push, stored


@pytest.fixture
def forked(http: httpx2.Client, state: str, fresh: FreshFragment) -> list[Fragment]:
    fragments = fork(int.from_bytes(fresh().fragment_id[:4]))
    for fragment in fragments:
        assert push(http, state, fragment).status_code == 201
    return fragments


def get(http: httpx2.Client, state: str, what: str = "render", **params: str) -> httpx2.Response:
    return http.get(f"/v1/states/{state}/{what}", params=params)


def test_a_merge_is_an_ordinary_render_with_its_name_length_and_ranges(
    http: httpx2.Client, state: str, forked: list[Fragment]
) -> None:
    expected = merged_here(forked, RenderQuery(merge="v-only")).render
    whole = get(http, state, merge="v-only")
    stream = expected.to_bytes()
    assert whole.content == stream
    assert whole.headers["render-id"] == str(expected.plan.render_id)
    assert whole.headers["etag"] == f'"{expected.plan.etag}"'
    path = f"/v1/states/{state}/render?merge=v-only"
    head = http.head(path)
    assert (head.headers["content-length"], head.content) == (str(len(stream)), b"")
    part = http.get(path, headers={"range": "bytes=200-300", "if-range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, stream[200:301])
    layer = Render.from_buffer(get(http, state, merge="v-only", layers="1:2").content)
    assert layer.keys(1) == expected.keys(1)
    assert (
        get(http, state, "plan", merge="v-only").json()["render_id"] == whole.headers["render-id"]
    )


def test_a_known_merge_is_unchanged_until_the_set_or_the_rule_is_another(
    http: httpx2.Client, state: str, forked: list[Fragment], fresh: FreshFragment
) -> None:
    for what in ("render", "plan", "receipt"):
        tag = get(http, state, what, merge="v-only").headers["etag"]
        path = f"/v1/states/{state}/{what}"
        condition = {"if-none-match": tag}
        again = http.get(path, params={"merge": "v-only"}, headers=condition)
        assert (again.status_code, again.content) == (304, b"")
        other = http.get(path, params={"merge": "cross-wired"}, headers=condition)
        assert other.status_code == 200
    tag = get(http, state, merge="v-only").headers["etag"]
    prefix, first, _ = forked
    push(http, state, fresh(start=3, seq_len=first.header.seq_len, prefix=prefix.fragment_id))
    grown = http.get(
        f"/v1/states/{state}/render", params={"merge": "v-only"}, headers={"if-none-match": tag}
    )
    assert grown.status_code == 200


def test_two_merges_of_the_same_bytes_have_receipts_of_their_own(
    http: httpx2.Client, state: str, forked: list[Fragment]
) -> None:
    one, other = "uniform-average:weight=0", "late-only:weight=0"
    renders = [get(http, state, merge=merge) for merge in (one, other)]
    assert renders[0].content == renders[1].content
    assert renders[0].headers["etag"] == renders[1].headers["etag"]
    tag = get(http, state, "receipt", merge=one).headers["etag"]
    answer = http.get(
        f"/v1/states/{state}/receipt", params={"merge": other}, headers={"if-none-match": tag}
    )
    assert answer.status_code == 200
    assert answer.json()["derivation"]["method"] == "late-only"


def test_a_merge_leaves_nothing_in_the_store(
    http: httpx2.Client, state: str, forked: list[Fragment], data_dir: Path
) -> None:
    before = http.get("/v1/states").content, stored(data_dir)
    for what in ("render", "plan", "receipt"):
        assert get(http, state, what, merge="uniform-slerp").status_code == 200
    assert (http.get("/v1/states").content, stored(data_dir)) == before


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_refused_with_what_to_ask_for_instead(
    http: httpx2.Client, state: str, forked: list[Fragment], name: str
) -> None:
    answer = get(http, state, merge=name)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "needs a model" in answer.json()["detail"]
    assert answer.json()["details"]["expected"] in STRATEGIES


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"merge": "average"}, "expected one of"),
        ({"merge": ""}, "expected STRATEGY"),
        ({"merge": "v-only:weight=2"}, r"weight in \[0, 1\]"),
        ({"merge": "cross-wired:weight=0.5"}, r"got \['weight'\]"),
        ({"merge": "v-only", "layout": "parallel"}, "neither layout"),
        ({"merge": "v-only", "layers": "x"}, "expected a:b"),
    ],
)
def test_a_merge_that_means_nothing_is_an_invalid_request(
    http: httpx2.Client,
    state: str,
    forked: list[Fragment],
    params: Mapping[str, str],
    message: str,
) -> None:
    for what in ("render", "plan", "receipt"):
        answer = get(http, state, what, **params)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert re.search(message, answer.json()["detail"])


def test_what_are_no_branches_of_one_place_is_refused_by_name(
    http: httpx2.Client, state: str, forked: list[Fragment], fresh: FreshFragment
) -> None:
    prefix, first, second = forked
    only = get(http, state, merge="v-only", order=str(first.fragment_id))
    assert (only.status_code, only.json()["code"]) == (400, "invalid_request")
    assert "expected two or more branches, got 1" in only.json()["detail"]
    longer = fresh(start=3, seq_len=9, prefix=prefix.fragment_id)
    push(http, state, longer)
    uneven = get(http, state, merge="v-only")
    assert (uneven.status_code, uneven.json()["code"]) == (409, "incompatible_fragments")
    assert "expected branches of" in uneven.json()["detail"]
    chosen = ",".join(str(f.fragment_id) for f in (first, second))
    assert get(http, state, merge="v-only", order=chosen).status_code == 200
    elsewhere = fork(int.from_bytes(longer.fragment_id[:4]))
    for fragment in elsewhere:
        push(http, state, fragment)
    several = get(http, state, merge="v-only")
    assert (several.status_code, several.json()["code"]) == (409, "ambiguous_class")


def test_three_branches_of_a_rule_for_two_are_refused(
    http: httpx2.Client, state: str, forked: list[Fragment], fresh: FreshFragment
) -> None:
    prefix, first, _ = forked
    push(http, state, fresh(start=3, seq_len=first.header.seq_len, prefix=prefix.fragment_id))
    answer = get(http, state, merge="uniform-slerp")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "exactly two branches, got 3" in answer.json()["detail"]
    assert get(http, state, merge="v-only").status_code == 200


def test_the_description_takes_what_the_server_takes(http: httpx2.Client) -> None:
    calls = http.get("/openapi.json").json()["paths"]
    for what in ("render", "plan", "receipt"):
        parameters = calls[f"/v1/states/{{state}}/{what}"]["get"]["parameters"]
        (merge,) = [p for p in parameters if p["name"] == "merge"]
        pattern = merge["schema"]["pattern"]
        assert all(re.search(pattern, name) for name in STRATEGIES)
        assert re.search(pattern, "cosine-gated:threshold=-0.5,weight=0.25")
        assert not any(re.search(pattern, name) for name in (*SEARCHES, "", "v-only:"))


SPACE = StateName("fork")


class Counting:
    """Counts merges, and may hold each up until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started = 0
        self.may_go = threading.Event()
        self.may_go.set()
        apply = BranchMerge.apply

        def counted(
            merge: BranchMerge, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]
        ) -> Fragment:
            self.started += 1
            assert self.may_go.wait(60)
            return apply(merge, plan, fragments)

        monkeypatch.setattr(BranchMerge, "apply", counted)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


@pytest.fixture
def merges() -> Merges:
    replica = Replica(MemoryStore())
    for fragment in fork(40, geometry=make_geometry(num_layers=1)):
        replica.push(SPACE, fragment)
    return Merges(replica)


def queries(num: int) -> list[RenderQuery]:
    return [RenderQuery(merge=f"v-only:weight={i / 100}") for i in range(num)]


def streamed(merges: Merges, query: RenderQuery) -> bytes:
    merged = merges.merged(SPACE, query)
    size = len(merged.plan.framing) + merged.plan.body_bytes
    return b"".join(bytes(chunk) for chunk in merges.chunks(merged, 0, size))


def test_plan_render_and_receipt_of_a_merge_cost_one(merges: Merges, counting: Counting) -> None:
    (query,) = queries(1)
    streamed(merges, query)
    merges.receipt(merges.merged(SPACE, query))
    assert counting.started == 1


def test_a_merge_that_was_forgotten_is_made_again_to_the_same_bytes(
    merges: Merges, counting: Counting
) -> None:
    first, *others = queries(KEPT_BODIES + 1)
    before = streamed(merges, first)
    for query in others:
        streamed(merges, query)
    merges.merged(SPACE, first)
    assert counting.started == KEPT_BODIES + 1, "its name is remembered without its body"
    assert streamed(merges, first) == before
    assert counting.started == KEPT_BODIES + 2


def at_once(merges: Merges, asked: list[RenderQuery]) -> Callable[[], list[Any]]:
    """Begin to merge for each query in a thread of its own; the result waits for them all."""
    pool = ThreadPoolExecutor(len(asked))
    futures = [pool.submit(merges.merged, SPACE, query) for query in asked]

    def results() -> list[Any]:
        pool.shutdown()
        return [future.exception() or future.result() for future in futures]

    return results


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when somebody is told to come again, because as many as may are waiting."""
    told = threading.Event()

    class TellingError(BusyError):
        def __init__(self, message: str, **details: Any) -> None:
            super().__init__(message, **details)
            told.set()

    monkeypatch.setattr(server_merges, "BusyError", TellingError)
    return told


def test_one_merge_is_made_once_for_all_who_wait_for_it(
    merges: Merges, counting: Counting, refused: threading.Event
) -> None:
    counting.may_go.clear()
    results = at_once(merges, queries(1) * (server_merges.MAX_WAITING + 1))
    assert refused.wait(60)
    counting.may_go.set()
    made = [result for result in results() if not isinstance(result, BusyError)]
    assert counting.started == 1
    assert len(made) == server_merges.MAX_WAITING
    assert len({merged.plan.render_id for merged in made}) == 1


def test_few_wait_and_the_rest_are_told_to_come_again(
    merges: Merges, counting: Counting, refused: threading.Event
) -> None:
    counting.may_go.clear()
    results = at_once(merges, queries(server_merges.MAX_WAITING + 1))
    assert refused.wait(60)
    assert counting.started == 1
    counting.may_go.set()
    busy = [result for result in results() if isinstance(result, BusyError)]
    assert len(busy) == 1
    assert counting.started == server_merges.MAX_WAITING
