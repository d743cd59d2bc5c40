"""What the matrix says of environments that lie, break, or cannot be had."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import pytest

from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.testing.golden import compute
from scripts.matrix import emulated, hard_roots, provisions
from scripts.matrix.environment import ROOT, Environment, Missing
from scripts.matrix.outcome import expected, first_difference, run


def test_an_environment_that_is_not_what_it_says_does_not_count():
    outcome = run(Environment("elsewhere", "numpy", expects={"byteorder": "sideways"}))
    assert outcome.result == "did not run"
    assert outcome.detail == f"byteorder is {sys.byteorder}, not sideways"
    assert outcome.digest == ""


def test_an_environment_without_the_engine_did_not_run():
    outcome = run(Environment("bare", "numba", (sys.executable, "-S")))
    assert (outcome.result, outcome.detail) == ("did not run", "numba is not installed there")


def test_a_process_that_breaks_has_failed():
    outcome = run(Environment("broken", "numpy", (sys.executable, "-X", "frozen_modules=?")))
    assert outcome.result == "failed"
    assert "exit status 1" in outcome.detail


def test_the_first_stage_that_differs_is_named_with_its_values():
    stages = expected() | {"hard_roots": hard_roots.compute()}
    assert first_difference(stages) == ""
    later = stages | {"rotate": stages["rotate"] | {"bf16/half": ""}, "render": stages["order"]}
    assert first_difference(later) == "rotate: bf16/half"


def test_no_stage_of_the_golden_vectors_is_left_out():
    assert set(expected()) == set(compute(ReferenceEngine())) | {"wide_rows", "hard_roots"}


@pytest.mark.parametrize("side", ["below", "above"])
def test_hard_roots_are_rounded_correctly_and_hardly(side):
    square = sum(Fraction(x) ** 2 for x in hard_roots.ROWS[side])
    key = hard_roots.KEYS[side]
    half = Fraction(math.ulp(key)) / 2
    assert (Fraction(key) - half) ** 2 < square < (Fraction(key) + half) ** 2
    midpoint = Fraction(key) + (half if side == "below" else -half)
    assert 0 < abs(midpoint**2 - square) < Fraction(math.ulp(key)) / 2**20


def test_without_emulators_every_row_says_so(monkeypatch):
    monkeypatch.setattr(emulated.shutil, "which", lambda program: None)
    reasons = [environment.missing for environment in emulated.environments()]
    assert len(reasons) > 10
    assert all("is not installed" in reason for reason in reasons)


def test_a_fetch_that_fails_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(provisions, "CACHE", tmp_path)
    program = "import pathlib, sys; pathlib.Path(sys.argv[1]).mkdir(); sys.exit('ERROR: refused')"
    fetched = provisions._fetched("tree", lambda into: [sys.executable, "-c", program, str(into)])
    assert fetched == Missing("tree: ERROR: refused")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--plant", "libm-cos"], 1)])
def test_the_exit_status_is_1_on_a_difference(arguments, status):
    command = [sys.executable, "-m", "scripts.matrix", "--quick", "numpy as installed", *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == status, process.stderr
    assert ("1 different" in process.stdout or "3 different" in process.stdout) == bool(status)
