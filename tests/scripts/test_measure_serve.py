"""The tables of `scripts.measure_serve`: medians of the runs, and how far they lie apart."""

from __future__ import annotations

from latentcrdt.cli.bench.serve import Row, Served
from scripts.measure_serve import page, parts, rates


def served(gigabytes: float, part: float, wait_ms: float) -> Served:
    rows = [
        Row("limit", 2e9, None, None, None),
        Row("ours", gigabytes * 1e9, None, part, 100_000_000),
    ]
    return Served(1_000_000, rows, 90_000_000, wait_ms / 1e3)


SIZES = {1: [served(1.0, 0.5, 3), served(3.0, 0.9, 9), served(2.0, 0.6, 5)]}


def test_rates_are_medians_with_the_memory_beside_them():
    assert rates(SIZES).splitlines()[2:] == ["| limit | 2.00 |", "| ours | 2.00 (100) |"]


def test_ratios_show_their_spread_and_waits_the_worst_run():
    assert parts(SIZES).splitlines()[2:] == [
        "| ours, of the same work | 0.60 (0.50-0.90) |",
        "| p99 of `/healthz` meanwhile, worst run | 9.0 ms |",
    ]


def test_the_page_says_how_often_it_was_measured():
    assert "; 3 runs, each of which is the median of 4 rounds." in page(SIZES, runs=3, rounds=4)
