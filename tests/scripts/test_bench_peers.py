"""The peers benchmark, on sizes that show whether it is right and not how fast anything is."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.cli.bench.watch import anonymous_memory, percentile
from scripts.bench_peers.clients import Clients
from scripts.bench_peers.contender import Payload
from scripts.bench_peers.fragments import DISTINCT, NUM_LAYERS, fresh_fragment
from scripts.bench_peers.limits import LIMITS, PUT, PUT_DURABLY, SENDFILE, RawSession, raw_server
from scripts.bench_peers.measure import Cell, measure
from scripts.bench_peers.ours import FETCH, OURS, PUSH, RENDER_THERE, OurSession, our_server
from scripts.bench_peers.page import Report, grids, promises, section
from scripts.bench_peers.plot import plot
from scripts.bench_peers.ratios import table
from scripts.bench_peers.resp import BareSession
from scripts.bench_peers.shared_folder import SHARED_FOLDER
from tests.scripts.forgetful import FORGETFUL
from tests.scripts.resp_server import RespServer

RUNS = [
    {
        "rows": [
            {"operation": o, "cell": {"megabytes": 1, "num_clients": n}, "is_put": p,
             "bytes_per_second": rate * (1 + run)}
            for n in (1, 8)
            for o, p, rate in (
                ("memcpy", True, 9), (PUSH, True, 2 + run), ("a SET", True, 4),
                (FETCH, False, 3), ("a GET", False, 6),
            )
        ]
    }
    for run in range(3)
]  # fmt: skip


def test_parts_are_taken_within_a_run_and_of_the_same_operation():
    assert table(RUNS).splitlines() == [
        "|  | 1 MB | 1 MB, 8 clients |",
        "| --- | ---: | ---: |",
        "| push, of a SET | 0.75 (0.50-1.00) | 0.75 (0.50-1.00) |",
        "| fetch, of a GET | 0.50 (0.50-0.50) | 0.50 (0.50-0.50) |",
    ]


CONTENDERS = [*LIMITS, OURS, SHARED_FOLDER]
CELL = Cell(megabytes=1, num_clients=2)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    with Clients(CELL.num_clients) as clients:
        return measure(
            CELL, clients, CONTENDERS, runs=1, scratch=tmp_path_factory.mktemp("scratch")
        )


@pytest.fixture
def payload():
    return Payload("key", "slot", fresh_fragment(1, 200_000))


def other(payload):
    return Payload(payload.key, payload.slot, fresh_fragment(2, 200_000))


def test_no_section_comes_twice():
    seeds = (0, 1, 2, DISTINCT // (2 * NUM_LAYERS) - 1)
    headers = [fresh_fragment(seed, 300_000).header for seed in seeds]
    digests = {section.digest for header in headers for section in header.sections}
    assert len(digests) == len(seeds) * 2 * NUM_LAYERS


def test_every_operation_of_every_contender_has_a_row(measured):
    rows, _ = measured
    assert [row.operation for row in rows] == [
        *(name for contender in CONTENDERS for name in contender.puts),
        *(name for contender in CONTENDERS for name in contender.gets),
    ]
    assert all(0 < row.slowest <= row.bytes_per_second <= row.fastest for row in rows)


def test_memory_is_known_where_there_is_a_server_and_only_there(measured):
    rows, _ = measured
    without = {row.operation for row in rows if row.peak_anonymous_bytes is None}
    assert without == {
        *LIMITS[0].puts,
        *SHARED_FOLDER.puts,
        *SHARED_FOLDER.gets,
    }


def test_only_a_streamed_render_has_a_first_layer_of_its_own(measured):
    rows, _ = measured
    (row,) = (row for row in rows if row.first_layer_seconds is not None)
    assert row.operation == RENDER_THERE
    # One client's renders follow each other, so that the mean time of one is at most this.
    assert row.first_layer_seconds > 0


def test_health_is_asked_while_pushes_are_taken(measured):
    _, health = measured
    assert health.num_answers > 0
    assert 0 < health.p99_seconds <= health.worst_seconds


def test_nothing_is_left_in_the_scratch_folder(tmp_path):
    with Clients(1) as clients:
        measure(Cell(1, 1), clients, [LIMITS[1], OURS], runs=1, scratch=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_does_not_come_back_has_no_speed(tmp_path):
    with (
        Clients(1) as clients,
        pytest.raises(RuntimeError, match="get: what came back is not what was put"),
    ):
        measure(Cell(1, 1), clients, [FORGETFUL, OURS], runs=1, scratch=tmp_path)


def test_a_push_of_a_known_fragment_is_wrong(tmp_path, payload):
    with our_server(tmp_path) as server:
        session = OurSession(server.address)
        assert session.prepare(PUSH, payload)().is_right()
        assert not session.prepare(PUSH, payload)().is_right()


def test_a_render_of_other_content_is_wrong(tmp_path, payload):
    with our_server(tmp_path) as server:
        session = OurSession(server.address)
        session.prepare(PUSH, payload)()
        assert session.prepare(RENDER_THERE, payload)().is_right()
        assert not session.prepare(RENDER_THERE, other(payload))().is_right()


def test_the_raw_server_keeps_what_it_is_given(tmp_path, payload):
    with raw_server(tmp_path) as server:
        session = RawSession(server.address)
        for verb in (PUT, PUT_DURABLY):
            session.prepare(verb, payload)()
        assert session.prepare(SENDFILE, payload)().is_right()
        assert not session.prepare(SENDFILE, other(payload))().is_right()
        assert {p.read_bytes() for p in tmp_path.iterdir()} == {bytes(payload.fragment.body)}
        session.forget(payload)
        assert not list(tmp_path.iterdir())


def test_saves_on_a_shared_folder_load_as_they_were(tmp_path, payload):
    session = SHARED_FOLDER.connect(str(tmp_path))
    for save, load in zip(SHARED_FOLDER.puts, SHARED_FOLDER.gets, strict=True):
        session.prepare(save, payload)()
        assert session.prepare(load, payload)().is_right()
        assert not session.prepare(load, other(payload))().is_right()
    session.forget(payload)
    assert not list(tmp_path.iterdir())


def test_the_bare_client_speaks_resp(payload):
    with RespServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = BareSession(str(server.server_address[1]))
        assert session.prepare("Redis SET", payload)().is_right()
        assert server.kept == {b"key": payload.fragment.body}
        assert session.prepare("Redis GET", payload)().is_right()
        assert not session.prepare("Redis GET", other(payload))().is_right()
        session.forget(payload)
        assert not server.kept
        assert not session.prepare("Redis GET", payload)().is_right()
        server.shutdown()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_covers_its_part(values, part):
    found = percentile(values, part)
    wanted = math.ceil(part * len(values))
    assert sum(value <= found for value in values) >= wanted
    assert sum(value < found for value in values) < wanted


def test_memory_is_looked_at_even_if_the_block_is_left_at_once():
    with anonymous_memory(None) as without_server:
        pass
    assert not without_server
    with anonymous_memory(1) as seen:
        pass
    assert seen


def test_the_page_has_every_figure(measured, tmp_path):
    rows, health = measured
    facts = {"date": "today", "load average": "0.1"}
    report = Report(facts, 1, rows, [health], promises(CONTENDERS), {"Peer": "no wheel"})
    text = section(report)
    for row in rows:
        assert f"| {row.operation} | {row.bytes_per_second / 1e9:.2f}" in text
    assert "- Peer: no wheel" in text
    assert all(len(row) == len(grid.headers) for grid in grids(report) for row in grid.rows)
    plot(report, tmp_path / "figure.svg")
    assert RENDER_THERE in (tmp_path / "figure.svg").read_text()
