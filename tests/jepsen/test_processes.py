"""Real servers under faults lose nothing, and servers that lose something are found out."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from latentcrdt.testing.jepsen import namespace_network, set_full
from latentcrdt.testing.jepsen.deck import NETWORK_FAULTS, SERVER_FAULTS
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.nemesis import Timing
from latentcrdt.testing.jepsen.verdict import Verdict
from latentcrdt.testing.jepsen.workload import Pace
from scripts.jepsen.__main__ import torment_and_report
from scripts.jepsen.disk import why_unavailable
from scripts.jepsen.scenarios import ANTIDOTEDB_489_BRIEF, BRIEF, Scenario

BROKEN = Path(__file__).parent / "broken"

CALM = Scenario(
    num_servers=1,
    decks=(),
    timing=Timing(calm_s=(1.0, 1.0), fault_s=(0.0, 0.0)),
    pace=Pace(num_clients=4, operations_per_s=80.0),
    duration_s=2.0,
    quiet_s=0.0,
    patience_s=1.0,
    sync_interval_s=0.2,
)
"""One server, and nothing that befalls it."""

KILLS = {"kill": SERVER_FAULTS["kill"]}

ONE_KILL = replace(CALM, decks=(KILLS,))


def judged(scenario: Scenario, directory: Path, *, are_peers: bool = True) -> Verdict:
    console = Console(file=io.StringIO())
    return asyncio.run(
        torment_and_report(scenario, directory, "2026", console, are_peers=are_peers)
    )


@pytest.fixture(scope="module")
def disks() -> str | None:
    return why_unavailable()


def test_under_every_fault_no_acknowledged_add_is_lost(tmp_path: Path, disks: str | None):
    scenario = BRIEF.without_full_disks() if disks else BRIEF
    verdict = judged(scenario, tmp_path)
    assert dict(verdict.rows())["verdict"] == "valid", verdict
    assert verdict.set_full.num_acknowledged > 50
    assert verdict.faults == {name: 1 for deck in scenario.decks for name in deck}
    assert verdict.fetches.num_fetched == 3 * verdict.set_full.num_acknowledged
    history = History.load(tmp_path / "history.jsonl")
    assert set_full.check(history) == verdict.set_full
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")


def test_when_the_kernel_s_own_network_is_parted_no_acknowledged_add_is_lost(tmp_path: Path):
    if reason := namespace_network.why_unavailable():
        pytest.skip(reason)
    scenario = replace(BRIEF, decks=(KILLS, NETWORK_FAULTS)).in_namespaces()
    verdict = judged(scenario, tmp_path)
    assert dict(verdict.rows())["verdict"] == "valid", verdict
    assert verdict.set_full.num_acknowledged > 50
    assert list(verdict.set_full.stale), "no partition was felt"
    assert verdict.faults == {"kill": 1, **dict.fromkeys(NETWORK_FAULTS, 1)}


def test_full_disks_are_among_the_faults(disks: str | None):
    if disks:
        pytest.skip(disks)
    assert BRIEF.needs_disks
    assert not BRIEF.without_full_disks().needs_disks


def test_antidotedb_issue_489_partitions_between_five_replicas_lose_no_acknowledged_add(
    tmp_path: Path,
):
    verdict = judged(ANTIDOTEDB_489_BRIEF, tmp_path)
    assert verdict.validity == "valid", verdict
    assert verdict.set_full.num_acknowledged > 50
    assert list(verdict.set_full.stale), "no partition was felt"
    assert sum(verdict.faults.values()) == 5


def test_servers_that_are_not_each_others_peers_are_found_out(tmp_path: Path):
    verdict = judged(replace(CALM, num_servers=2), tmp_path, are_peers=False)
    assert verdict.validity == "invalid"
    assert verdict.agreement_s is None
    assert set(verdict.final_reads.missing) == {0, 1}
    assert verdict.fetches.failed
    assert {reason.partition(": ")[2][:18] for reason in verdict.fetches.failed} == {
        "fragment_not_found"
    }


def test_as_in_antidotedb_issue_489_adds_that_stay_where_they_were_made_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(BROKEN / "secretive"))
    verdict = judged(replace(CALM, num_servers=2, patience_s=2.0), tmp_path)
    assert verdict.validity == "invalid"
    assert verdict.agreement_s is None
    lacking = [element for missing in verdict.final_reads.missing.values() for element in missing]
    assert 0 < len(lacking) < verdict.set_full.num_acknowledged / 2
    assert len(lacking) == len(set(lacking)), "what one server lacks, the other has"


def test_one_sound_server_that_is_killed_and_started_again_is_valid(tmp_path: Path):
    assert judged(replace(ONE_KILL, patience_s=60.0), tmp_path).validity == "valid"


@pytest.mark.parametrize(
    ("bug", "scenario"),
    [("forgetful", CALM), ("volatile", ONE_KILL)],
    ids=["one add in twenty is not stored", "memberships are kept in memory, and it is killed"],
)
def test_a_server_that_acknowledges_what_it_does_not_keep_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: str, scenario: Scenario
):
    monkeypatch.setenv("PYTHONPATH", str(BROKEN / bug))
    verdict = judged(scenario, tmp_path)
    assert verdict.set_full.validity == "invalid"
    assert list(verdict.set_full.lost)
