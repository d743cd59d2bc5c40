from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess
from latentcrdt_server.probe import probe
from latentcrdt_server.problems import STATUS
from prometheus_client.parser import text_string_to_metric_families

from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment
from tests.server.conftest import FreshFragment
from tests.server.guards import client_of, write_tokens
from tests.server.wire import Wire, memory_bytes, push, stored, wait_until

SOUND = {"status": "ready", "quarantined_files": 0, "passed_over_bytes": 0}


def read_metrics(http: httpx2.Client) -> dict[str, float]:
    """Return every sample by its name and labels, as they are spelt."""
    lines = http.get("/metrics").text.splitlines()
    return {k: float(v) for k, v in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}


def test_alive_and_ready_leave_no_trace(http: httpx2.Client, data_dir: Path) -> None:
    before = http.get("/v1/states").json(), stored(data_dir)
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json()["status"] == "ready"
    assert (http.get("/v1/states").json(), stored(data_dir)) == before


def test_a_probe_asks_a_store_that_others_share(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_store: MemoryStore, _fragment_id: FragmentId) -> bool:
        raise StoreFailedError("the bucket does not answer")

    store = MemoryStore()
    probe(store)
    monkeypatch.setattr(MemoryStore, "has", unreachable)
    with pytest.raises(StoreFailedError):
        probe(store)


def test_what_was_found_damaged_is_told_until_it_is_taken_away(tmp_path: Path) -> None:
    data, fragment = tmp_path / "data", make_fragment(1)
    name = str(fragment.fragment_id)
    with ServerProcess(data) as process, httpx2.Client(base_url=process.url) as http:
        assert push(http, "s", fragment).status_code == 201
    (data / "obj" / name[:2] / name).write_bytes(fragment.to_bytes()[:-1])
    with ServerProcess(data) as process, httpx2.Client(base_url=process.url) as http:
        assert http.get("/readyz").json() == SOUND | {"quarantined_files": 1}
        assert read_metrics(http)["latentcrdt_quarantined_files"] == 1
        # The member stays, and is missing: it is not counted as held.
        assert read_metrics(http)["latentcrdt_fragments"] == 1
        assert read_metrics(http)["latentcrdt_unmeasured_fragments"] == 1
        assert read_metrics(http)["latentcrdt_store_bytes"] == 0
        assert push(http, "s", fragment).status_code == 200
        assert read_metrics(http)["latentcrdt_unmeasured_fragments"] == 0
        assert read_metrics(http)["latentcrdt_store_bytes"] == fragment.num_bytes
        (kept,) = (data / "quarantine").iterdir()
        kept.unlink()
        assert read_metrics(http)["latentcrdt_quarantined_files"] == 0


def test_bytes_of_memberships_that_say_nothing_are_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as process, httpx2.Client(base_url=process.url) as http:
        assert push(http, "s", make_fragment(1)).status_code == 201
    (segment,) = (data / "states").iterdir()
    with segment.open("ab") as file:
        file.write(b"torn by a crash")
    with ServerProcess(data) as process, httpx2.Client(base_url=process.url) as http:
        assert http.get("/readyz").json() == SOUND | {"passed_over_bytes": 15}
        assert read_metrics(http)["latentcrdt_passed_over_bytes"] == 15
        assert len(http.get("/v1/states/s").json()["members"]) == 1


def test_metrics_count_what_happened(http: httpx2.Client, state: str, fresh: FreshFragment) -> None:
    def read() -> dict[str, float]:
        return read_metrics(http)

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
    assert rise("latentcrdt_states") == 1
    assert rise("latentcrdt_store_bytes") == fragment.num_bytes
    assert rise('latentcrdt_problems_total{code="digest_mismatch"}') == 1
    assert rise("latentcrdt_render_seconds_count") == 1
    assert after["latentcrdt_inflight_push_bytes"] == 0
    assert after["latentcrdt_inflight_streams"] == 0
    labels = 'code="201",method="POST",route="/v1/states/{state}/fragments"'
    assert rise(f"latentcrdt_request_seconds_count{{{labels}}}") == 1


def test_metrics_are_named_as_prometheus_expects_and_hold_no_ids(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragment_id = push(http, state, fresh()).json()["id"]
    http.get(f"/v1/fragments/{fragment_id}")
    http.get("/no-such-path")
    text = http.get("/metrics").text
    assert fragment_id not in text
    assert state not in text
    assert "no-such-path" not in text
    seen = set()
    for family in text_string_to_metric_families(text):
        assert family.name.startswith(("latentcrdt_", "process_"))
        assert family.documentation
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith(("_total", "_created"))
            known = {"route", "method", "code", "le", "peer", "version", "python"}
            assert sample.labels.keys() <= known
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in seen
            seen.add(key)
    assert {dict(k[1:])["code"] for k in seen if k[0] == "latentcrdt_problems_total"} == set(STATUS)


def test_metrics_tell_of_the_process_and_its_disk(server: ServerProcess) -> None:
    with httpx2.Client(base_url=server.url) as http:
        samples = read_metrics(http)
        text = http.get("/metrics").text
    assert samples["process_resident_memory_bytes"] >= memory_bytes(server.pid)
    assert samples["process_open_fds"] > 3
    assert 0 < samples["latentcrdt_disk_available_bytes"] < samples["latentcrdt_disk_size_bytes"]
    assert f'version="{version("latentcrdt")}"' in text


def test_every_problem_is_counted_and_logged_by_its_code(
    server: ServerProcess, http: httpx2.Client
) -> None:
    sample = 'latentcrdt_problems_total{code="route_not_found"}'
    before = read_metrics(http)[sample]
    assert http.get("/nowhere", headers={"x-request-id": "lost"}).status_code == 404
    assert http.get("/healthz", headers={"x-request-id": "found"}).status_code == 200
    assert read_metrics(http)[sample] - before == 1

    def logged(request_id: str) -> dict[str, object]:
        # Other tests of this server make other processes write here, in their own words.
        text = server.log_path.read_text().splitlines()
        lines = (json.loads(line) for line in text if line.startswith("{"))
        return next(line for line in lines if line.get("request_id") == request_id)

    wait_until(lambda: '"found"' in server.log_path.read_text())
    assert logged("lost")["problem"] == "route_not_found"
    assert logged("found")["problem"] is None


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
    assert names == {"state", "layout", "stride", "order", "class", "layers", "merge"}
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
    everything = [("*", "read add")]
    tokens = write_tokens(directory / "tokens", {"first": everything, "second": everything})
    with ServerProcess(directory / "data", token_file=tokens) as process:
        yield process


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_token_of_the_file_opens_the_api(
    guarded: ServerProcess, fresh: FreshFragment, name: str
) -> None:
    with client_of(guarded, name) as client:
        answer = push(client, "guarded", fresh())
        assert answer.status_code == 201
        fetched = client.get(answer.headers["location"])
        assert fetched.headers["cache-control"].startswith("private,")


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer secret-of-firs"},
        {"authorization": "Bearer"},
        {"authorization": "Basic c2VjcmV0LW9mLWZpcnN0"},
        {"authorization": "Bearer first"},
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
        for open_to_all in ("/healthz", "/readyz", "/metrics"):
            assert client.get(open_to_all).status_code == 200


def test_a_refused_push_is_not_invited_to_send(guarded: ServerProcess) -> None:
    with Wire(guarded) as wire:
        wire.request(
            "POST", "/v1/states/x/fragments", "Content-Length: 1000", "Expect: 100-continue"
        )
        assert wire.answer().status == 401
        assert wire.read_to_end() == b""


def test_many_idle_connections_cost_little(server: ServerProcess) -> None:
    wires = [Wire(server)]  # up first: a server that still starts grows by itself
    before = memory_bytes(server.pid)
    wires += [Wire(server) for _ in range(99)]
    for wire in wires:
        wire.send(b"GET /healthz HTTP/1.1\r\n")
    assert memory_bytes(server.pid) - before < 16 * 2**20
    for wire in wires:
        wire.send(b"Host: localhost\r\n\r\n")
        assert wire.answer().status == 200
        wire.close()
