"""docs/models.md lists the families, verdicts and reasons of the code, and plausible figures."""

import re

import pytest

from latentcrdt.core.geometry import Dtype
from scripts.make_models_page import TARGET, page
from tests.hf.oracle import BOUNDS
from tests.hf.shift import ROUTED_BF16_BOUND, ShiftErrors

FIGURE = re.compile(r"\d+e[+-]\d\d")

ROW = re.compile(r"^\| `\w+`.*\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def text():
    return TARGET.read_text(encoding="utf-8")


def test_all_but_the_figures_is_as_generated(text):
    expected = page(measured=lambda _measurement: ShiftErrors(0.0, 0.0))
    assert FIGURE.sub("#", text) == FIGURE.sub("#", expected)


def test_the_figures_of_accepted_models_are_within_the_bounds_of_the_oracle(text):
    accepted = text.partition("## Refused")[0]
    figures = [[float(f) for f in FIGURE.findall(row)] for row in ROW.findall(accepted)]
    f32, bf16 = BOUNDS[Dtype.F32], ROUTED_BF16_BOUND
    assert len(figures) > 50
    for row in figures:
        assert all(
            0 < figure <= bound for figure, bound in zip(row, [f32, f32, bf16, bf16], strict=True)
        )


def test_the_figures_of_refused_models_are_not(text):
    figures = [FIGURE.findall(row) for row in ROW.findall(text.partition("What a rotation")[2])]
    assert len(figures) > 5
    for row in figures:
        assert max(map(float, row)) > 1000 * BOUNDS[Dtype.F32]
