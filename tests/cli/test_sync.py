"""latentcrdt sync and status, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

from latentcrdt.core.ids import StateName
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment


def fill(path: Path, name: str, *seeds: int) -> str:
    """Push fragments into a state of a data directory; return the digest of all roots."""
    replica = Replica(DirectoryStore(path))
    for seed in seeds:
        replica.push(StateName(name), make_fragment(seed))
    digest = str(replica.roots().digest)
    replica.close()
    return digest


def test_two_directories_become_equal(run, tmp_path, name):
    fill(tmp_path / "a", name, 1, 2)
    fill(tmp_path / "b", name, 2, 3)
    result = run("sync", tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 0
    assert "the two are equal" in result.stdout
    assert fill(tmp_path / "a", name) == fill(tmp_path / "b", name)


def test_a_directory_is_copied_into_a_new_one(run, tmp_path, name):
    before = fill(tmp_path / "a", name, 1, 2, 3)
    document = json.loads(run("sync", tmp_path / "a", tmp_path / "b", "--json").stdout)
    assert document["is_equal"] is True
    assert document["second"]["new_members"] == 3
    assert document["left_behind"] == []
    assert fill(tmp_path / "b", name) == before


def test_a_directory_and_a_server_become_equal(run, server, tmp_path, name):
    fill(tmp_path / "a", name, 1, 2)
    run("sync", tmp_path / "a", server)
    listed = json.loads(run("ls", name, "--json").stdout)
    assert {m["id"] for m in listed["members"]} == {
        str(make_fragment(seed).fragment_id) for seed in (1, 2)
    }
    again = json.loads(run("sync", server, tmp_path / "a", "--json").stdout)
    assert again["is_equal"]
    assert again["first"] == again["second"] == {"new_members": 0, "bytes": 0}


def test_a_directory_that_is_not_there_is_not_made_of_a_misspelling(run, tmp_path):
    result = run("sync", tmp_path / "mispelt", tmp_path / "b")
    assert result.exit_code == 1
    assert "expected a server's address or a data directory" in result.stderr
    assert not (tmp_path / "mispelt").exists()


def test_what_cannot_be_had_is_named_and_ends_with_status_1(run, tmp_path, name):
    fill(tmp_path / "a", name, 1, 2)
    lost = make_fragment(1).fragment_id
    (tmp_path / "a" / "obj" / str(lost)[:2] / str(lost)).unlink()
    result = run("sync", tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 1
    assert f"left behind: {name} {lost} [fragment_not_found]" in result.stderr
    assert "not equal" in result.stdout


def test_a_state_is_retracted_once_and_only_after_a_yes(run, server, name):
    run("sync", server, server)
    refused = run("retract", name)
    assert refused.exit_code == 1
    assert "for good?" in refused.stderr
    assert json.loads(run("retract", name, "--yes", "--json").stdout)["retracted"] is True
    assert "was retracted already" in run("retract", name, "-y").stdout
    gone = run("ls", name)
    assert gone.exit_code == 1
    assert "[state_retracted]" in gone.stderr


def test_status_says_when_there_are_no_peers(run):
    assert "no peers" in run("status").stdout
    assert json.loads(run("status", "--json").stdout) == []
