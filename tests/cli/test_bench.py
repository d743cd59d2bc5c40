from __future__ import annotations

import json
import subprocess
import sys

import pytest

from latentcrdt.cli.bench.measure import median_seconds
from latentcrdt.errors import InvalidRequestError


def test_actions_take_turns_and_the_first_round_is_not_counted():
    calls = []
    medians = median_seconds({n: lambda n=n: calls.append(n) for n in "ab"}, runs=3)
    assert calls == ["a", "b"] * 4
    assert set(medians) == {"a", "b"}


def test_no_runs_are_refused():
    with pytest.raises(InvalidRequestError):
        median_seconds({}, runs=0)


def test_the_extra_peak_is_what_an_action_takes():
    # In a process of its own: here, what other tests have left may be given back meanwhile.
    program = """
import numpy as np
from latentcrdt.cli.bench.measure import extra_peak_bytes
print(extra_peak_bytes(lambda: np.ones(50 << 20, dtype=np.uint8)))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    # The kernel counts pages in batches.
    assert 49 << 20 <= int(printed.stdout) < 60 << 20


def test_every_engine_renders_the_benchmark_to_the_same_digest(run):
    result = run("bench", "render", "--megabytes", "1", "--runs", "1", "--json")
    rows = json.loads(result.stdout)
    assert {row["what"] for row in rows} == {"memcpy", "memcpy, shared", "numba", "torch", "numpy"}
    for workload in ("K", "K+V"):
        digests = {r["digest"] for r in rows if r["workload"] == workload} - {None}
        assert len(digests) == 1


def test_the_sync_benchmark_ends_equal_and_counts_every_way(run, monkeypatch):
    monkeypatch.setattr("latentcrdt.cli.bench.command.DIFFERING", (1, 5))
    monkeypatch.setattr("latentcrdt.cli.bench.command.COMMON_FRAGMENTS", 3)
    document = json.loads(run("bench", "sync", "--ids", "500", "--json").stdout)
    found = [(row["how"], row["num_differing"]) for row in document["wire"]]
    assert found == [("roots", 0), ("feed", 1), ("id tree", 1), ("feed", 5), ("id tree", 5)]
    # A differing id takes its 32 bytes, whatever way it is told.
    assert all(row["num_bytes"] >= 32 * row["num_differing"] for row in document["wire"])
    assert [row["num_differing"] for row in document["converge"]] == [1, 5]


def test_the_server_benchmark_reports_every_row(run):
    result = run("bench", "serve", "--megabytes", "2", "--runs", "1", "--json")
    document = json.loads(result.stdout)
    assert [row["what"] for row in document["rows"]] == [
        "socket, hash and durable write",
        "push",
        "bare send",
        "bare sendfile",
        "sendfile into new memory",
        "sendfile into new memory, hashed",
        "fetch",
        "render on the server",
        "the same, unverified",
        "render in the client",
    ]
    assert all(row["bytes_per_second"] > 0 for row in document["rows"])
    of_ours = [row for row in document["rows"] if row["part_of_same_work"] is not None]
    assert [row["what"] for row in of_ours] == [
        "push",
        "fetch",
        "render on the server",
        "the same, unverified",
        "render in the client",
    ]
    assert all(row["server_peak_bytes"] > 0 for row in of_ours)
    assert document["health_p99_seconds"] > 0


def test_the_scale_benchmark_reports_every_row(run):
    result = run("bench", "scale", "--fragments", "40", "--states", "3", "--runs", "1", "--json")
    document = json.loads(result.stdout)
    times = {row["what"]: row["times"] for row in document["rows"]}
    assert times.pop("/healthz meanwhile") > 0
    assert times == {
        "opening the store": 1,
        "the same, each head read again": 1,
        "a server, from its start to its end": 1,
        "list the states": 1,
        "a small state": 20,
        "a state of 40": 1,
        "plan 10 of 40": 1,
        "/metrics": 4,
        "push into a state of 0": 100,
        "push into a state of 4": 100,
        "push into a state of 40": 100,
    }
    assert all(0 < row["p50"] <= row["p99"] for row in document["rows"])
