"""The soak's judge on growth that is known, and a whole soak of servers that leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.soak.__main__ import soak
from scripts.soak.state_bytes import retracted_state_bytes
from scripts.soak.trend import NUM_WINDOWS, trend

PUSHES = np.arange(0, 8000, 20)
SEEDS = st.integers(0, 2**32 - 1)
MIB = 2**20


def noise(seed: int) -> np.ndarray:
    """Of a server: what is under way adds up to 8 MiB, and what is left by it comes and goes."""
    rng = np.random.default_rng(seed)
    kept = rng.normal(0, 0.1 * MIB, len(PUSHES))
    return 120 * MIB + kept + rng.choice([0, 0, 4 * MIB, 8 * MIB], len(PUSHES))


@given(SEEDS)
def test_noise_alone_is_no_growth(seed: int):
    found = trend(PUSHES, noise(seed), allowed=128)
    assert found.judgement == "flat"
    assert found.low < found.slope < found.high


@given(SEEDS)
def test_a_leak_of_400_bytes_a_push_grows(seed: int):
    assert trend(PUSHES, noise(seed) + 400 * PUSHES, allowed=128).judgement == "GROWS"


@given(SEEDS)
def test_what_is_allowed_does_not_hide_what_is_not(seed: int):
    values = 200 * PUSHES + noise(seed)
    assert trend(PUSHES, values, allowed=400).judgement == "flat"
    assert trend(PUSHES, values, allowed=50).judgement == "GROWS"


@pytest.mark.parametrize("num_samples", [0, 1, NUM_WINDOWS - 1])
def test_too_few_samples_decide_nothing(num_samples: int):
    assert trend(PUSHES[:num_samples], PUSHES[:num_samples], allowed=1e9).judgement == "undecided"


def test_a_short_and_noisy_run_decides_nothing():
    values = np.random.default_rng(0).normal(0, 10 * MIB, 60)
    assert trend(np.arange(60), values, allowed=128).judgement == "undecided"


def test_a_run_in_which_no_work_is_done_decides_nothing():
    assert trend([5.0] * 100, list(range(100)), allowed=128).judgement == "undecided"


@given(SEEDS, st.floats(-1000, 1000))
def test_the_slope_is_that_of_the_line_and_moves_with_it(seed: int, slope: float):
    flat, tilted = noise(seed), noise(seed) + slope * PUSHES
    moved = trend(PUSHES, tilted, 0).slope - trend(PUSHES, flat, 0).slope
    assert moved == pytest.approx(slope, abs=60)


def test_a_retracted_state_leaves_what_its_objects_take():
    assert 500 < retracted_state_bytes() < 2000


def test_a_server_that_leaks_is_found_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert not soak(0.4, 20, f"memory:{64 << 10}", tmp_path, pushes_before=20)
    said = capsys.readouterr().out
    assert said.count("GROWS") >= 2, said
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
