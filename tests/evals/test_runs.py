"""A run is stored answer by answer, and an interrupted one ends up like any other."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latentcrdt.core.encoding import digest
from latentcrdt.errors import InvalidRequestError, MalformedError, StoreFailedError
from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.run_directory import (
    RunDirectory,
    read_receipts,
    read_records,
    read_timings,
)
from latentcrdt.evals.runner import run
from tests.evals.fakes import CELLS, METHODS, SESSION, FakeBenchmark, fake_methods

SETTINGS = {"metrics": ["correct"], "seed": 0, "model": "fake@0"}
STORED = ("answers.jsonl", "receipts.jsonl")


class Killed(BaseException):
    """What a test ends a run with."""


def make(path, *, stop_after=None, methods_of=fake_methods):
    def on_progress(done, _total):
        if done == stop_after:
            raise Killed

    with RunDirectory(path, SETTINGS, SESSION) as directory:
        run(CELLS, FakeBenchmark(), methods_of, directory, on_progress=on_progress)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    make(path)
    return path


def test_every_answer_is_stored_with_its_receipt(whole):
    records = list(read_records(whole))
    assert len({r.key for r in records}) == len(records) == 2 * 5 * 4
    assert {r.method for r in records} == set(METHODS)
    receipts = read_receipts(whole)
    for r in records:
        if r.method == "single":
            assert r.receipt is None
        else:
            assert receipts[r.receipt]["order"] == r.method
    # Each receipt once: both regimes were rendered alike.
    assert len(receipts) == 5 * 3
    assert {t.first_token_s for t in read_timings(whole).values()} == {0.25}
    assert set(read_timings(whole)) == {r.key for r in records}


def test_a_receipt_is_named_by_the_bytes_of_its_line(whole):
    lines = (whole / "receipts.jsonl").read_bytes().splitlines(keepends=True)
    assert {digest(line).hex() for line in lines} == set(read_receipts(whole))


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stops=st.lists(st.integers(1, 40), max_size=4), torn=st.binary(max_size=30))
def test_an_interrupted_run_gives_the_same_files(whole, tmp_path_factory, stops, torn):
    path = tmp_path_factory.mktemp("runs") / "resumed"
    for stop in stops:
        with pytest.raises(Killed):
            make(path, stop_after=stop)
        for name in (*STORED, "timings.jsonl"):  # what a kill in the midst of a write leaves
            with (path / name).open("ab") as file:
                file.write(torn.replace(b"\n", b""))
    make(path)
    for name in STORED:
        assert (path / name).read_bytes() == (whole / name).read_bytes()
    assert set(read_timings(path)) == set(read_timings(whole))
    assert len(read_manifest(path)["sessions"]) == len(stops) + 1


def test_a_kill_between_a_receipt_and_its_answer_changes_nothing(whole, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        make(path, stop_after=1)
    receipt = (whole / "receipts.jsonl").read_bytes().splitlines(keepends=True)[1]
    with (path / "receipts.jsonl").open("ab") as file:
        file.write(receipt)
    make(path)
    for name in STORED:
        assert (path / name).read_bytes() == (whole / name).read_bytes()


def test_what_is_stored_is_not_asked_again(whole):
    def refuse(_cell):
        raise AssertionError("asked again")

    make(whole, methods_of=refuse)


def test_a_run_with_other_settings_is_refused_by_name(whole):
    before = (whole / "manifest.json").read_bytes()
    with pytest.raises(InvalidRequestError, match="seed was 0 and is now 1"):
        RunDirectory(whole, {**SETTINGS, "seed": 1}, SESSION)
    assert (whole / "manifest.json").read_bytes() == before


def test_two_processes_do_not_write_to_one_run(tmp_path):
    with (
        RunDirectory(tmp_path / "run", SETTINGS, SESSION),
        pytest.raises(StoreFailedError),
    ):
        RunDirectory(tmp_path / "run", SETTINGS, SESSION)


def test_another_directory_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InvalidRequestError, match="empty directory"):
        RunDirectory(tmp_path, SETTINGS, SESSION)
    with pytest.raises(InvalidRequestError, match=r"found no manifest\.json"):
        read_manifest(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} <= {"letter.txt", ".lock"}


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"not json\n", b'{"method":"canonical"}\n'])
def test_a_damaged_line_is_named(whole, tmp_path, line):
    answers = (whole / "answers.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "answers.jsonl").write_bytes(answers[0] + line + answers[1])
    with pytest.raises(MalformedError, match=r"answers\.jsonl, line 2"):
        list(read_records(tmp_path))


@pytest.mark.parametrize("manifest", ["{", json.dumps({"format": 2}), "[]"])
def test_a_manifest_of_another_format_is_refused(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(MalformedError):
        read_manifest(tmp_path)
