"""The catalogue of mutants follows the code: each bug can still be planted where it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.mutants.__main__ import MUTANTS
from scripts.mutants.mutant import Mutant

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_its_place(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert all((ROOT / path).exists() for path in mutant.tests.split())
