"""Each error has one status, and every one that a server can give is reached."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI, HTTPException
from latentcrdt_server.app import create_app
from latentcrdt_server.child_process import ServerProcess
from latentcrdt_server.metrics import Metrics
from latentcrdt_server.observation import Observation
from latentcrdt_server.problems import SAID_INSTEAD, STATUS, install_problems
from latentcrdt_server.settings import Settings

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import KIND
from latentcrdt.errors import (
    ConnectionFailedError,
    CorruptFragmentError,
    LatentCRDTError,
    ModelNotInstalledError,
    RemoteSyncError,
    TransportError,
    UnrepairableError,
    UnsupportedModelError,
    error_class,
    error_classes,
)
from latentcrdt.testing.conformance import forgeries
from latentcrdt.testing.fragments import make_geometry
from tests.server import forged
from tests.server.conftest import FreshFragment
from tests.server.wire import push

ABSENT = "0" * 64


def test_the_table_of_statuses_has_every_code_that_is_not_the_callers_own() -> None:
    """What only a client or a model integration raises never crosses the wire."""
    bases = (
        TransportError,
        RemoteSyncError,
        UnsupportedModelError,
        UnrepairableError,
        ModelNotInstalledError,
    )
    elsewhere = {cls.code for base in bases for cls in error_classes(base)}
    codes = {cls.__dict__["code"] for cls in error_classes() if "code" in cls.__dict__}
    assert set(STATUS) == codes - elsewhere - {LatentCRDTError.code}
    assert all(400 <= status < 600 for status in STATUS.values())


@pytest.mark.parametrize("code", STATUS)
def test_every_code_crosses_the_wire_with_message_and_details(tmp_path: Path, code: str) -> None:
    cls = error_class(code)
    assert cls is not None
    details: dict[str, Any] = {"id": ABSENT, "allow": ["GET"]}
    answer = ask_a_replica_that_raises(tmp_path, cls("what was expected, what came", **details))
    document = answer.json()
    assert answer.status_code == STATUS[code] == document["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"urn:latentcrdt:error:{code}"
    assert document["detail"] == "what was expected, what came" or code in SAID_INSTEAD
    assert ("retry-after" in answer.headers) == (code == "busy")
    assert (document["code"], document["details"]) == (code, details)
    assert document["instance"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("code", SAID_INSTEAD)
def test_paths_of_the_server_go_to_its_log_and_not_to_callers(tmp_path: Path, code: str) -> None:
    cls = error_class(code)
    assert cls is not None
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        answer = ask_a_replica_that_raises(tmp_path, cls("writing /srv/obj/ab/abc: I/O error"))
    assert "/srv" not in answer.text
    detail, request_id = answer.json()["detail"], answer.headers["x-request-id"]
    assert detail.startswith(SAID_INSTEAD[code])
    assert request_id in detail
    entry = next(e for e in logged if e["event"] == "cannot serve")
    assert "/srv/obj/ab/abc" in entry["detail"]
    assert entry["request_id"] == request_id


def test_a_bug_of_ours_is_told_without_its_traceback(tmp_path: Path) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        answer = ask_a_replica_that_raises(tmp_path, RuntimeError("secret of the house"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    entry = next(e for e in logged if e["event"] == "request failed")
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert entry["exc_info"]


def test_an_error_of_no_known_code_is_a_500(tmp_path: Path) -> None:
    assert ask_a_replica_that_raises(tmp_path, LatentCRDTError("odd")).status_code == 500


def test_what_the_framework_refuses_comes_in_our_words() -> None:
    app = FastAPI()
    install_problems(app)
    app.add_middleware(Observation, metrics=Metrics())

    @app.get("/number")
    def number(n: int) -> int:
        if n == 0:
            raise HTTPException(418, "no tea")
        return n

    for query, part in (("n=x", "query.n"), ("", "query.n"), ("n=0", "no tea")):
        answer = ask(app, f"/number?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert part in answer.json()["detail"]


def ask_a_replica_that_raises(tmp_path: Path, error: Exception) -> httpx2.Response:
    """Return what an app answers whose replica fails: errors that no test can make a disk give."""

    class Failing:
        tokens = None
        settings = Settings(host="0.0.0.0")

        @property
        def replica(self) -> Any:
            raise error

    app = create_app(Settings(data_dir=tmp_path))
    app.state.service = Failing()
    return ask(app, "/v1/states")


def ask(app: FastAPI, path: str) -> httpx2.Response:
    async def get() -> httpx2.Response:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(get())


@dataclass(frozen=True, slots=True)
class Caller:
    """A client, a state of its own, and fragments that no one else has."""

    http: httpx2.Client
    state: str
    fresh: FreshFragment

    def push(self, fragment: Fragment | bytes, **headers: str) -> httpx2.Response:
        return push(self.http, self.state, fragment, **headers)

    def get(self, path: str, **params: str) -> httpx2.Response:
        return self.http.get(f"/v1/states/{self.state}{path}", params=params)


def ask_for_two_classes(caller: Caller) -> httpx2.Response:
    caller.push(caller.fresh())
    caller.push(caller.fresh(geometry=make_geometry(num_layers=1)))
    return caller.get("/plan")


def ask_for_an_empty_state(caller: Caller) -> httpx2.Response:
    caller.http.put(f"/v1/states/{caller.state}")
    return caller.get("/render")


def ask_behind_an_absent_prefix(caller: Caller) -> httpx2.Response:
    caller.push(caller.fresh(prefix=caller.fresh().fragment_id, start=5))
    return caller.get("/receipt")


def ask_for_a_mixed_order(caller: Caller) -> httpx2.Response:
    mixed = [caller.fresh(), caller.fresh(geometry=make_geometry(num_layers=1))]
    for fragment in mixed:
        caller.push(fragment)
    return caller.get("/render", order=",".join(str(f.fragment_id) for f in mixed))


def ask_for_an_absent_class(caller: Caller) -> httpx2.Response:
    caller.push(caller.fresh())
    return caller.get("/plan", **{"class": ABSENT})


def ask_for_layers_past_the_last(caller: Caller) -> httpx2.Response:
    caller.push(caller.fresh())
    return caller.get("/render", layers="0:99")


def ask_for_a_retracted_state(caller: Caller) -> httpx2.Response:
    caller.push(caller.fresh())
    caller.http.delete(f"/v1/states/{caller.state}")
    return caller.get("/plan")


REAL: dict[str, Callable[[Caller], httpx2.Response]] = {
    "malformed": lambda c: c.push(b"x" * 100),
    "truncated": lambda c: c.push(c.fresh().to_bytes()[:-1]),
    "unsupported_dtype": lambda c: c.push(forgeries.with_field(c.fresh(), "dtype", "int8")),
    "unsupported_version": lambda c: c.push(forgeries.with_kind(c.fresh(), KIND, 9)),
    "not_canonical": lambda c: c.push(forgeries.with_long_integer(c.fresh())),
    "digest_mismatch": lambda c: c.push(forged.with_flipped_bit(c.fresh())),
    "non_finite_keys": lambda c: c.push(forged.with_nan_keys(7)),
    "too_large": lambda c: c.push(forgeries.with_absurd_sizes(c.fresh())),
    "unsupported_media_type": lambda c: c.push(c.fresh(), content_type="text/plain"),
    "invalid_id": lambda c: c.http.get("/v1/fragments/abc"),
    "invalid_state_name": lambda c: c.http.get("/v1/states/No!"),
    "invalid_request": lambda c: c.http.get("/v1/states?page=2"),
    "fragment_not_found": lambda c: c.http.get(f"/v1/fragments/{ABSENT}"),
    "state_not_found": lambda c: c.get(""),
    "state_retracted": ask_for_a_retracted_state,
    "cursor_expired": lambda c: c.http.get(f"/v1/feed?after={0:016x}-0"),
    "class_not_found": ask_for_an_absent_class,
    "route_not_found": lambda c: c.http.get("/v2/states"),
    "method_not_allowed": lambda c: c.http.post(f"/v1/states/{c.state}"),
    "ambiguous_class": ask_for_two_classes,
    "nothing_to_render": ask_for_an_empty_state,
    "prefix_missing": ask_behind_an_absent_prefix,
    "incompatible_fragments": ask_for_a_mixed_order,
    "range_not_satisfiable": ask_for_layers_past_the_last,
}

REACHED_ELSEWHERE = {
    "busy": "test_bad_input",
    "stalled_body": "test_bad_input",
    "unauthorized": "test_operations",
    "forbidden": "test_scopes",
    "quota_exceeded": "test_quotas",
    "corrupt_fragment": "below, with a damaged file",
}

NOT_MADE_BY_A_HEALTHY_SERVER = {
    "store_failed": "needs a failing disk; tests/store makes one",
    "store_full": "needs a full disk; tests/store makes one",
    "internal": "a bug; made above with a failing replica",
    "engine_self_test": "a server with such an engine does not start",
}


def test_no_code_is_forgotten() -> None:
    known = [*REAL, *REACHED_ELSEWHERE, *NOT_MADE_BY_A_HEALTHY_SERVER]
    assert sorted(known) == sorted(STATUS)


@pytest.mark.parametrize("code", REAL)
def test_a_real_server_gives_the_code(
    http: httpx2.Client, state: str, fresh: FreshFragment, code: str
) -> None:
    answer = REAL[code](Caller(http, state, fresh))
    assert (answer.status_code, answer.json()["code"]) == (STATUS[code], code)
    assert error_class(answer.json()["code"]) is not None


def test_a_wrong_method_is_told_the_right_ones(http: httpx2.Client, state: str) -> None:
    answer = http.post(f"/v1/states/{state}")
    assert answer.headers["allow"] == "GET, PUT, DELETE"
    assert answer.json()["details"]["allow"] == ["GET", "PUT", "DELETE"]


def test_a_damaged_file_is_reported_and_taken_out_of_sight(
    http: httpx2.Client, state: str, fresh: FreshFragment, data_dir: Path
) -> None:
    fragment = fresh()
    path = push(http, state, fragment).headers["location"]
    file = data_dir / "obj" / str(fragment.fragment_id)[:2] / str(fragment.fragment_id)
    os.truncate(file, 100)
    answer = http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (500, CorruptFragmentError.code)
    assert http.get(path).status_code == 404
    assert push(http, state, fragment).status_code == 200
    assert http.get(path).content == fragment.to_bytes()


def test_a_store_that_another_process_holds_is_not_served(
    server: ServerProcess, data_dir: Path
) -> None:
    with (
        ServerProcess(data_dir) as second,
        pytest.raises(ConnectionFailedError, match=f"process {server.pid} holds"),
    ):
        _ = second.url
