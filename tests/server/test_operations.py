from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from tests.server.conftest import FreshFragment
from tests.server.wire import Wire, memory_bytes, push, stored, wait_until


def test_alive_and_ready_leave_no_trace(http: httpx2.Client, data_dir: Path) -> None:
    before = http.get("/v1/states").json(), stored(data_dir)
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready"}
    assert (http.get("/v1/states").json(), stored(data_dir)) == before


def test_metrics_count_what_happened(http: httpx2.Client, state: str, fresh: FreshFragment) -> None:
    def read() -> dict[str, float]:
        lines = http.get("/metrics").text.splitlines()
        return {k: float(v) for k, v in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    before, fragment = read(), fresh()
    push(http, state, fragment)
    push(http, state, fragment, fragment_id=str(fragment.fragment_id))
    broken = fresh().to_bytes()[:-1] + b"\x55"
    assert push(http, state, broken).status_code == 422
    rendered = len(http.get(f"/v1/states/{state}/render").content)
    # A stream is counted when it has ended, which its reader knows a little earlier.
    wait_until(
        lambda: (
            read()["latentcrdt_render_seconds_count"] > before["latentcrdt_render_seconds_count"]
        )
    )
    after = read()

    def rise(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert rise("latentcrdt_push_bytes_total") == fragment.num_bytes
    assert rise("latentcrdt_dedupe_hits_total") == 1
    assert rise("latentcrdt_digest_mismatch_total") == 1
    assert rise("latentcrdt_fetch_bytes_total") == rendered
    assert rise("latentcrdt_fragments") == 1
    assert rise("latentcrdt_store_bytes") == fragment.header.body_bytes
    assert rise("latentcrdt_render_seconds_count") == 1
    assert after["latentcrdt_inflight_push_bytes"] == 0
    labels = 'code="201",method="POST",route="/v1/states/{state}/fragments"'
    assert rise(f"latentcrdt_request_seconds_count{{{labels}}}") == 1


def test_a_request_id_is_echoed_logged_or_made(server: ServerProcess, http: httpx2.Client) -> None:
    given = http.get("/healthz", headers={"x-request-id": "trace-0815"})
    assert given.headers["x-request-id"] == "trace-0815"
    for insane in ("a b", "x" * 65, 'quote"', ""):
        made = http.get("/healthz", headers={"x-request-id": insane}).headers["x-request-id"]
        assert made not in (insane, "")
    wait_until(lambda: "trace-0815" in server.log_path.read_text())
    lines = server.log_path.read_text().splitlines()
    entry = json.loads(next(line for line in lines if "trace-0815" in line))
    assert entry["request_id"] == "trace-0815"
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/healthz", 200)
    assert entry["bytes_out"] == len(given.content)
    assert entry["seconds"] >= 0


def test_the_api_describes_its_binary_bodies_and_problems(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    assert "/v1/states/{state}/render" in document["paths"]
    posted = document["paths"]["/v1/states/{state}/fragments"]["post"]
    binary = {"type": "string", "format": "binary"}
    bodies = posted["requestBody"]["content"]
    assert bodies["application/vnd.latentcrdt.fragment"]["schema"] == binary
    fetched = document["paths"]["/v1/fragments/{fragment}"]["get"]["responses"]
    assert fetched["206"]["content"]["application/vnd.latentcrdt.fragment"]["schema"] == binary
    rendered = document["paths"]["/v1/states/{state}/render"]["get"]
    names = {p["name"] for p in rendered["parameters"]}
    assert names == {"state", "layout", "stride", "order", "class", "layers"}
    problem = {"$ref": "#/components/schemas/ProblemDocument"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            statuses = {int(s) for s in operation["responses"]}
            assert not path.startswith("/v1") or {400, 401, 500} <= statuses
            for status in (s for s in statuses if s >= 400):
                content = operation["responses"][str(status)]["content"]
                assert content == {"application/problem+json": {"schema": problem}}
    assert "code" in document["components"]["schemas"]["ProblemDocument"]["properties"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_reference_of_the_description_resolves(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])


def test_the_page_of_calls_is_complete_and_loads_nothing(http: httpx2.Client) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert "//" not in answer.text
    for path, operations in http.get("/openapi.json").json()["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in answer.text


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("guarded")
    tokens = directory / "tokens"
    tokens.write_text("# for the tests\nfirst-token\n\nsecond-token\n")
    with ServerProcess(directory / "data", token_file=tokens) as process:
        yield process


@pytest.mark.parametrize("token", ["first-token", "second-token"])
def test_a_token_of_the_file_opens_the_api(
    guarded: ServerProcess, fresh: FreshFragment, token: str
) -> None:
    with httpx2.Client(
        base_url=guarded.url, headers={"authorization": f"Bearer {token}"}
    ) as client:
        answer = push(client, "guarded", fresh())
        assert answer.status_code == 201
        fetched = client.get(answer.headers["location"])
        assert fetched.headers["cache-control"].startswith("private,")


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer first-toke"},
        {"authorization": "Bearer"},
        {"authorization": "Basic Zmlyc3QtdG9rZW4="},
        {"authorization": "Bearer # for the tests"},
    ],
)
def test_without_a_token_nothing_of_v1_is_answered(
    guarded: ServerProcess, fresh: FreshFragment, header: dict[str, str]
) -> None:
    with httpx2.Client(base_url=guarded.url, headers=header) as client:
        answers = [
            client.get("/v1/states"),
            client.put("/v1/states/x"),
            client.get("/v1/states/NOT-A-NAME"),
            client.get(f"/v1/fragments/{'0' * 64}"),
            client.post("/v1/fragments/missing", json={"ids": []}),
            push(client, "guarded", fresh()),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200


def test_a_refused_push_is_not_invited_to_send(guarded: ServerProcess) -> None:
    with Wire(guarded) as wire:
        wire.request(
            "POST", "/v1/states/x/fragments", "Content-Length: 1000", "Expect: 100-continue"
        )
        assert wire.answer().status == 401
        assert wire.read_to_end() == b""


def test_many_idle_connections_cost_little(server: ServerProcess) -> None:
    before = memory_bytes(server.pid)
    wires = [Wire(server) for _ in range(100)]
    for wire in wires:
        wire.send(b"GET /healthz HTTP/1.1\r\n")
    assert memory_bytes(server.pid) - before < 16 * 2**20
    for wire in wires:
        wire.send(b"Host: localhost\r\n\r\n")
        assert wire.answer().status == 200
        wire.close()
