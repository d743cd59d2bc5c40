"""Every bad input has its answer, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.container import FRAGMENT_MAGIC
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import KIND
from latentcrdt.testing.conformance import forgeries
from tests.server import forged
from tests.server.conftest import FreshFragment
from tests.server.wire import FRAGMENT_TYPE, PeakMemory, Wire, push, stored, wait_until

MIB = 2**20


@pytest.fixture
def nothing_stays(http: httpx2.Client, data_dir: Path, state: str) -> Iterator[None]:
    """Check that states and files are after the test what they were before it."""

    def seen() -> tuple[object, set[str]]:
        return http.get("/v1/states").json(), stored(data_dir)

    before = seen()
    yield
    # An upload that its sender left is cleared when the server notices, not when the test does.
    wait_until(lambda: seen() == before)
    assert http.get(f"/v1/states/{state}").status_code == 404


FORGERIES: dict[str, tuple[Callable[[Fragment], bytes], int, str]] = {
    "empty": (lambda _f: b"", 400, "truncated"),
    "cut in the preamble": (lambda f: f.to_bytes()[:10], 400, "truncated"),
    "cut in the header": (lambda f: f.to_bytes()[:100], 400, "truncated"),
    "cut in the body": (lambda f: f.to_bytes()[:-1], 400, "truncated"),
    "too long": (lambda f: f.to_bytes() + b"x", 400, "truncated"),
    "not a fragment": (lambda _f: b"PK\x03\x04" * 100, 400, "malformed"),
    "garbage for a header": (
        lambda _f: FRAGMENT_MAGIC + (48).to_bytes(8, "little") + b"\xc1" * 48,
        400,
        "malformed",
    ),
    "flipped bit": (forged.with_flipped_bit, 422, "digest_mismatch"),
    "second spelling": (forgeries.with_long_integer, 422, "not_canonical"),
    "padding that is not zero": (
        lambda f: f.framing[:-1] + b"\x01" + f.body,
        422,
        "not_canonical",
    ),
    "unknown dtype": (lambda f: forgeries.with_field(f, "dtype", "fp8"), 400, "unsupported_dtype"),
    "later version": (lambda f: forgeries.with_kind(f, KIND, 2), 400, "unsupported_version"),
    "negative start": (lambda f: forgeries.with_field(f, "start", -1), 400, "malformed"),
    "start that is no number": (lambda f: forgeries.with_field(f, "start", "0"), 400, "malformed"),
    "control characters": (lambda f: forgeries.with_field(f, "model_id", "a\n"), 400, "malformed"),
    "NaN in K": (lambda f: forged.with_nan_keys(f.header.seq_len), 422, "non_finite_keys"),
    "absurd sizes": (forgeries.with_absurd_sizes, 413, "too_large"),
    "absurd header length": (
        lambda _f: FRAGMENT_MAGIC + (2**62).to_bytes(8, "little") + bytes(100),
        413,
        "too_large",
    ),
}


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_fragment_is_refused_by_its_own_code(
    http: httpx2.Client, state: str, fresh: FreshFragment, name: str
) -> None:
    forge, status, code = FORGERIES[name]
    answer = push(http, state, forge(fresh()))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("nothing_stays")
def test_a_wrong_declared_id_is_named_beside_the_real_one(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    sent, meant = fresh(), fresh()
    answer = push(http, state, sent, fragment_id=str(meant.fragment_id))
    assert answer.status_code == 422
    assert answer.json()["details"] == {
        "expected": str(meant.fragment_id),
        "actual": str(sent.fragment_id),
    }


@pytest.mark.usefixtures("nothing_stays")
def test_a_flipped_bit_is_located(http: httpx2.Client, state: str, fresh: FreshFragment) -> None:
    fragment = fresh()
    details = push(http, state, forged.with_flipped_bit(fragment)).json()["details"]
    assert (details["layer"], details["part"]) == (2, "values")
    assert details["expected"] == str(fragment.header.digests[2].values)


@pytest.mark.usefixtures("nothing_stays")
def test_absurd_sizes_take_no_memory(
    server: ServerProcess, http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    push(http, state, forgeries.with_absurd_sizes(fresh()))
    with PeakMemory(server) as peak:
        for name in ("absurd sizes", "absurd header length"):
            for _ in range(20):
                assert push(http, state, FORGERIES[name][0](fresh())).status_code == 413
    assert peak.growth_bytes < 16 * MIB


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/json"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
        {"content-encoding": "zstd"},
    ],
)
def test_another_media_type_or_any_compression_is_refused(
    http: httpx2.Client, state: str, fresh: FreshFragment, headers: dict[str, str]
) -> None:
    answer = push(http, state, fresh(), **headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.usefixtures("nothing_stays")
def test_a_body_of_no_stated_type_is_refused(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    """A page of any web site may send one without asking first."""
    answer = http.post(f"/v1/states/{state}/fragments", content=fresh().to_bytes())
    assert "content-type" not in answer.request.headers
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("attacker.example", 400),
        ("127.0.0.1.attacker.example:8000", 400),
        ("[", 400),
    ],
)
def test_a_server_without_tokens_on_loopback_answers_to_no_other_name(
    http: httpx2.Client, host: str, status: int
) -> None:
    assert http.get("/v1/states", headers={"host": host}).status_code == status


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize("query", ["x=1", "state=other", "state=a&state=b"])
def test_a_push_takes_no_query(
    http: httpx2.Client, state: str, fresh: FreshFragment, query: str
) -> None:
    answer = http.post(f"/v1/states/{state}/fragments?{query}", content=fresh().to_bytes())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.usefixtures("nothing_stays")
def test_a_length_that_is_too_short_is_refused(
    server: ServerProcess, state: str, fresh: FreshFragment
) -> None:
    """What is left over is no request, so the connection ends with the first answer."""
    data = fresh().to_bytes()
    with Wire(server) as wire:
        path = f"/v1/states/{state}/fragments"
        wire.request("POST", path, f"Content-Length: {len(data) - 10}", body=data)
        assert wire.answer().status == 400


@pytest.mark.usefixtures("nothing_stays")
def test_a_sender_that_leaves_before_the_declared_end_leaves_nothing(
    server: ServerProcess, state: str, fresh: FreshFragment
) -> None:
    data = fresh().to_bytes()
    request_id = f"left-early-{state}"[:64]
    with Wire(server) as wire:
        path = f"/v1/states/{state}/fragments"
        headers = (f"Content-Length: {len(data) + 10}", f"X-Request-Id: {request_id}")
        wire.request("POST", path, *headers, body=data)
    # The log line is written when the request is over.
    wait_until(lambda: request_id in server.log_path.read_text())


def test_a_length_that_is_too_long_is_given_up(
    tight_server: ServerProcess, tight: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    data = fresh().to_bytes()
    with Wire(tight_server) as wire:
        path = f"/v1/states/{state}/fragments"
        wire.request("POST", path, f"Content-Length: {len(data) + 10}", body=data)
        answer = wire.answer()
        assert wire.read_to_end() == b""
    assert answer.status == 408
    assert b'"stalled_body"' in answer.body
    assert tight.get(f"/v1/states/{state}").status_code == 404


def test_a_body_that_trickles_is_given_up(
    tight_server: ServerProcess, tight: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    data = fresh(seq_len=100).to_bytes()
    with Wire(tight_server) as wire:
        wire.request("POST", f"/v1/states/{state}/fragments", f"Content-Length: {len(data)}")
        sent = 0
        while not wire.readable(within_s=0.1):
            wire.send(data[sent : sent + 1])
            sent += 1
        assert wire.answer().status == 408
    assert tight.get(f"/v1/states/{state}").status_code == 404


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_and_leaves_nothing(
    tight_server: ServerProcess,
    tight: httpx2.Client,
    state: str,
    fresh: FreshFragment,
    chunked: bool,
) -> None:
    data = fresh(seq_len=1000).to_bytes()
    assert len(data) > 100_000
    pieces = (data[i : i + 9_000] for i in range(0, len(data), 9_000))
    answer = tight.post(
        f"/v1/states/{state}/fragments",
        content=pieces if chunked else data,
        headers={"content-type": FRAGMENT_TYPE},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["details"]["limit"] == 100_000
    assert tight.get(f"/v1/states/{state}").status_code == 404
    assert stored(tight_server.log_path.with_suffix("")) == set()


def test_a_push_beyond_the_bytes_in_flight_is_told_to_come_again(
    tight_server: ServerProcess, tight: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    first, second = (fresh(seq_len=500) for _ in range(2))
    size = first.num_bytes
    with Wire(tight_server) as wire:
        path = f"/v1/states/{state}/fragments"
        wire.request("POST", path, f"Content-Length: {size}", "Expect: 100-continue")
        wire.read_until(b"\r\n\r\n")  # it was admitted
        refused = push(tight, state, second)
        wire.send(first.to_bytes())
        assert wire.answer().status == 201
    assert (refused.status_code, refused.json()["code"]) == (429, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert push(tight, state, second).status_code == 201


def test_idle_pushes_of_great_length_keep_nobody_out(
    server: ServerProcess, http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    """What counts is the memory that a push can take, not the length that it declares."""

    def held() -> float:
        lines = http.get("/metrics").text.splitlines()
        name = "latentcrdt_inflight_push_bytes "
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    path = f"/v1/states/{state}/fragments"
    idle = [Wire(server) for _ in range(16)]
    for wire in idle:
        wire.request("POST", path, f"Content-Length: {8 * 2**30}", "Expect: 100-continue")
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    assert push(http, state, fresh()).status_code == 201
    assert held() == 16 * 8 * MIB
    for wire in idle:
        wire.close()
    wait_until(lambda: held() == 0)


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 10", "Transfer-Encoding: chunked"),
        ("Content-Length: 10", "Content-Length: 11"),
        ("Content-Length: -1",),
        ("Content-Length: 1x",),
    ],
)
@pytest.mark.usefixtures("nothing_stays")
def test_framing_that_could_be_read_in_two_ways_is_refused(
    server: ServerProcess, state: str, headers: tuple[str, ...]
) -> None:
    with Wire(server) as wire:
        wire.request(
            "POST", f"/v1/states/{state}/fragments", *headers, body=b"0\r\n\r\n" + bytes(9)
        )
        assert wire.answer().status == 400


CHUNKED_POST = b"POST /v1/fragments/missing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET /healthz HTTP/1.1\r\nX: ", CHUNKED_POST + b"0\r\nX: ", CHUNKED_POST + b"1;"],
    ids=["url", "header", "trailer", "chunk extension"],
)
def test_a_head_without_end_is_cut_and_takes_no_memory(server: ServerProcess, start: bytes) -> None:
    with PeakMemory(server) as peak, Wire(server) as wire:
        wire.send(start)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            wire.flood(b"a" * 65_536)
    assert peak.growth_bytes < 16 * MIB


def test_a_whole_head_over_the_limit_is_refused_even_if_it_comes_at_once(
    server: ServerProcess,
) -> None:
    with Wire(server) as wire:
        wire.request("GET", "/healthz", "X: " + "a" * 65_000)
        assert wire.answer().status == 200
        wire.request("GET", "/healthz", "X: " + "a" * 66_000)
        answer = wire.answer()
        assert (answer.status, answer.body) == (400, b"Request head too large.")
        assert wire.read_to_end() == b""


def test_fragments_under_a_content_type_of_this_api_are_taken(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    """The control: what the tests above forge from is accepted."""
    assert push(http, state, fresh(), content_type=FRAGMENT_TYPE).status_code == 201
