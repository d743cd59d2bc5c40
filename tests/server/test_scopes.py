"""Each call needs its scope; what a caller may not see is as if it were not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.sync.messages import Question
from tests.server.conftest import FreshFragment
from tests.server.guards import AsPrincipal, client_of, write_tokens
from tests.server.wire import FRAGMENT_TYPE, push

ABSENT = "0" * 64

GRANTS = {
    "reader": [("team-*", "read")],
    "writer": [("team-*", "add")],
    "both": [("team-*", "read add")],
    "peer": [("team-*", "sync")],
    "janitor": [("team-*", "admin")],
    "stranger": [("elsewhere-*", "read add sync admin")],
    "root": [("*", "read add")],
    "replica": [("*", "sync")],
}

MAY = {
    "reader": {"read"},
    "writer": {"add"},
    "both": {"read", "add"},
    "peer": {"read", "add", "sync", "admin"},
    "janitor": {"admin"},
    "root": {"read", "add"},
    "replica": {"read", "add", "sync", "admin"},
}
"""What each may do on a state of the team."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("scopes")
    tokens = write_tokens(directory / "tokens", GRANTS)
    with ServerProcess(directory / "data", token_file=tokens) as process:
        yield process


@pytest.fixture
def as_(guarded: ServerProcess) -> Iterator[AsPrincipal]:
    clients: dict[str, httpx2.Client] = {}

    def get(name: str) -> httpx2.Client:
        return clients.setdefault(name, client_of(guarded, name))

    yield get
    for client in clients.values():
        client.close()


@pytest.fixture
def team(state: str) -> str:
    return f"team-{state}"[:60]


Ask = Callable[[httpx2.Client, str, Fragment], httpx2.Response]

CALLS: dict[tuple[str, str], tuple[str, Ask]] = {
    ("get", "/v1/states/{state}"): ("read", lambda c, s, f: c.get(f"/v1/states/{s}")),
    ("get", "/v1/states/{state}/plan"): ("read", lambda c, s, f: c.get(f"/v1/states/{s}/plan")),
    ("get", "/v1/states/{state}/receipt"): (
        "read",
        lambda c, s, f: c.get(f"/v1/states/{s}/receipt"),
    ),
    ("get", "/v1/states/{state}/render"): (
        "read",
        lambda c, s, f: c.get(f"/v1/states/{s}/render"),
    ),
    ("put", "/v1/states/{state}"): ("add", lambda c, s, f: c.put(f"/v1/states/{s}")),
    ("post", "/v1/states/{state}/fragments"): ("add", push),
    ("put", "/v1/states/{state}/members/{fragment}"): (
        "add",
        lambda c, s, f: c.put(f"/v1/states/{s}/members/{f.fragment_id}"),
    ),
    ("delete", "/v1/states/{state}"): ("admin", lambda c, s, f: c.delete(f"/v1/states/{s}")),
    ("post", "/v1/states/{state}/sync"): (
        "sync",
        lambda c, s, f: c.post(
            f"/v1/states/{s}/sync",
            content=Question(bytes(16), ("",)).encode(),
            headers={"content-type": "application/vnd.msgpack"},
        ),
    ),
}
"""Each call on a state, with the scope that it needs."""

ON_ALL_STATES = {("get", "/v1/roots"), ("get", "/v1/feed"), ("get", "/v1/peers")}
"""Calls that tell of every state, so for replicas of all of them."""

WITHOUT_STATE = {
    ("get", "/v1/states"),
    ("get", "/v1/fragments/{fragment}"),
    ("post", "/v1/fragments/missing"),
}


def test_every_call_of_the_api_has_its_scope_here(guarded: ServerProcess) -> None:
    document = httpx2.get(guarded.url + "/openapi.json").json()
    calls = {
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/v1")
    }
    assert calls == CALLS.keys() | WITHOUT_STATE | ON_ALL_STATES


@pytest.mark.parametrize("name", MAY)
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_call_without_its_scope_is_forbidden(
    as_: AsPrincipal, team: str, fresh: FreshFragment, call: tuple[str, str], name: str
) -> None:
    fragment = fresh()
    push(as_("root"), team, fragment)
    scope, ask = CALLS[call]
    answer = ask(as_(name), team, fragment)
    if scope in MAY[name]:
        assert answer.status_code in (200, 201)
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert answer.json()["details"] == {"state": team, "scope": scope}


@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize("call", sorted(ON_ALL_STATES), ids=" ".join)
def test_a_call_on_all_states_needs_its_scope_on_all_of_them(
    as_: AsPrincipal, call: tuple[str, str], name: str
) -> None:
    answer = as_(name).request(*call)
    if name == "replica":
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def without(document: dict[str, Any], *names: str) -> str:
    """Return an answer with what must differ, its id and these names, taken out."""
    text = str(document | {"instance": None})
    for name in names:
        text = text.replace(name, "NAME")
    return text


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_state_out_of_reach_answers_as_one_that_is_not_there(
    as_: AsPrincipal, team: str, fresh: FreshFragment, call: tuple[str, str]
) -> None:
    fragment = fresh()
    push(as_("root"), team, fragment)
    _, ask = CALLS[call]
    hidden, absent = (ask(as_("stranger"), s, fragment) for s in (team, f"{team}x"))
    real = as_("root").get(f"/v1/states/{team}x")
    assert hidden.status_code == absent.status_code == real.status_code == 404
    assert hidden.headers.keys() == absent.headers.keys()
    assert without(hidden.json(), team) == without(absent.json(), f"{team}x")
    assert absent.json() | {"instance": None} == real.json() | {"instance": None}
    assert as_("root").get(f"/v1/states/{team}").json()["members"][0]["id"] == str(
        fragment.fragment_id
    )


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_forbidden_call_says_the_same_whether_the_state_is_there_or_not(
    as_: AsPrincipal, team: str, fresh: FreshFragment, call: tuple[str, str]
) -> None:
    push(as_("root"), team, fresh())
    scope, ask = CALLS[call]
    client = as_("reader" if scope == "admin" else "janitor")
    there, absent = (ask(client, s, fresh()) for s in (team, f"{team}x"))
    assert there.status_code == 403
    assert without(there.json(), team) == without(absent.json(), f"{team}x")


def test_the_list_of_states_has_those_that_the_caller_may_read(
    as_: AsPrincipal, team: str, state: str, fresh: FreshFragment
) -> None:
    push(as_("root"), team, fresh())
    push(as_("root"), state, fresh())
    seen = {
        name: {s["name"] for s in as_(name).get("/v1/states").json()["states"]} & {team, state}
        for name in GRANTS
    }
    assert seen == {
        "reader": {team},
        "writer": set(),
        "both": {team},
        "peer": {team},
        "janitor": set(),
        "stranger": set(),
        "root": {team, state},
        "replica": {team, state},
    }


@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_fragment_is_read_through_a_state_that_the_caller_may_read(
    as_: AsPrincipal, team: str, fresh: FreshFragment, name: str, method: str
) -> None:
    fragment = fresh()
    push(as_("root"), team, fragment)
    path = f"/v1/fragments/{fragment.fragment_id}"
    answer = as_(name).request(method, path)
    assert answer.status_code == (200 if "read" in MAY.get(name, ()) else 404)
    if answer.status_code == 404 and method == "GET":
        absent = as_(name).get(f"/v1/fragments/{ABSENT}")
        names = (str(fragment.fragment_id), ABSENT)
        assert without(answer.json(), *names) == without(absent.json(), *names)
        real = as_("root").get(f"/v1/fragments/{ABSENT}")
        assert without(real.json(), ABSENT) == without(absent.json(), ABSENT)


def test_what_members_were_captured_behind_is_read_with_them(
    as_: AsPrincipal, team: str, state: str, fresh: FreshFragment
) -> None:
    first = fresh()
    second = fresh(prefix=first.fragment_id, start=5)
    third = fresh(prefix=second.fragment_id, start=10)
    path = f"/v1/fragments/{first.fragment_id}"
    push(as_("root"), state, first)
    push(as_("root"), state, second)
    assert as_("reader").get(path).status_code == 404
    push(as_("root"), team, third)
    assert as_("reader").get(path).content == first.to_bytes()
    assert as_("stranger").get(path).status_code == 404


@pytest.mark.parametrize("name", GRANTS)
def test_missing_tells_only_of_what_the_caller_may_read_or_add(
    as_: AsPrincipal, team: str, state: str, fresh: FreshFragment, name: str
) -> None:
    ours, others, behind, absent = fresh(), fresh(), fresh(), fresh()
    push(as_("root"), state, others)
    push(as_("root"), state, behind)
    push(as_("root"), team, ours)
    push(as_("root"), team, fresh(prefix=behind.fragment_id, start=5))
    ids = [str(f.fragment_id) for f in (ours, others, behind, absent)]
    answer = as_(name).post("/v1/fragments/missing", json={"ids": ids})
    if name in ("reader", "janitor"):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        return
    known = {
        "writer": {ids[0]},  # but not what members are behind: that is for readers
        "both": {ids[0], ids[2]},
        "peer": {ids[0], ids[2]},
        "stranger": set(),
        "root": set(ids[:3]),
        "replica": set(ids[:3]),
    }
    assert answer.json()["missing"] == [i for i in ids if i not in known[name]]


@pytest.mark.parametrize("name", ["both", "writer", "peer"])
def test_naming_an_id_is_no_way_to_come_by_a_fragment(
    as_: AsPrincipal, team: str, state: str, fresh: FreshFragment, name: str
) -> None:
    """Neither by making it a member, nor by adding one that says it was captured behind it."""
    secret = fresh()
    push(as_("root"), state, secret)
    for fragment_id in (str(secret.fragment_id), ABSENT):
        refused = as_(name).put(f"/v1/states/{team}/members/{fragment_id}")
        absent = as_("root").put(f"/v1/states/{team}/members/{ABSENT}")
        assert refused.status_code == 404
        names = (fragment_id, ABSENT)
        assert without(refused.json(), *names) == without(absent.json(), *names)
    answers = []
    for prefix in (secret, fresh()):
        behind = fresh(prefix=prefix.fragment_id, start=5)
        answers.append(push(as_(name), team, behind))
        document = answers[-1].json()
        assert (answers[-1].status_code, document["code"]) == (409, "prefix_missing")
        assert as_("root").get(f"/v1/fragments/{behind.fragment_id}").status_code == 404
        answers[-1] = without(document, str(prefix.fragment_id), str(behind.fragment_id))
    assert answers[0] == answers[1]
    assert as_("peer").get(f"/v1/fragments/{secret.fragment_id}").status_code == 404


def test_a_replica_may_bring_a_member_before_its_prefix(
    as_: AsPrincipal, team: str, fresh: FreshFragment
) -> None:
    """It may read everything, so that it gains nothing; and merge must be total."""
    behind = fresh(prefix=fresh().fragment_id, start=5)
    assert push(as_("replica"), team, behind).status_code == 201


def test_declaring_the_id_of_a_fragment_out_of_reach_does_not_save_sending_it(
    as_: AsPrincipal, team: str, state: str, fresh: FreshFragment
) -> None:
    """Whoever has the bytes may add them: that is what they could do if it were not held."""
    fragment = fresh()
    push(as_("root"), state, fragment)
    declared = {"fragment_id": str(fragment.fragment_id)}
    assert push(as_("both"), team, b"", **declared).json()["code"] == "truncated"
    answer = push(as_("both"), team, fragment, **declared)
    assert (answer.status_code, answer.json()["created"]) == (201, True)
    assert as_("both").get(answer.headers["location"]).content == fragment.to_bytes()


def test_what_a_caller_may_read_it_may_add_elsewhere_without_sending_it(
    as_: AsPrincipal, team: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    push(as_("root"), team, fragment)
    path = f"members/{fragment.fragment_id}"
    assert as_("both").put(f"/v1/states/{team}.copy/{path}").status_code == 201
    # A writer may repeat what is so already, and no more.
    assert as_("writer").put(f"/v1/states/{team}/{path}").status_code == 200
    assert as_("writer").put(f"/v1/states/{team}.more/{path}").status_code == 404


def test_a_writer_adds_behind_a_prefix_of_the_same_state(
    as_: AsPrincipal, team: str, fresh: FreshFragment
) -> None:
    prefix = fresh()
    assert push(as_("writer"), team, prefix).status_code == 201
    behind = fresh(prefix=prefix.fragment_id, start=5)
    assert push(as_("writer"), team, behind).status_code == 201


def test_a_wrong_header_is_told_before_its_prefix(
    as_: AsPrincipal, team: str, fresh: FreshFragment
) -> None:
    answer = as_("writer").post(
        f"/v1/states/{team}/fragments",
        content=b"not a fragment at all",
        headers={"content-type": FRAGMENT_TYPE},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
