"""The rows of the matrix that need nothing but the installed packages, and the planted errors."""

from __future__ import annotations

import pytest

from scripts.matrix import installed
from scripts.matrix.__main__ import disagreements, run_all

ENVIRONMENTS = {environment.name: environment for environment in installed.environments()}


def planted(plant, *names):
    return run_all([ENVIRONMENTS[name] for name in names], plant)


def test_every_quick_environment_computes_the_golden_vectors():
    outcomes = run_all(list(ENVIRONMENTS.values()), None)
    # A processor may lack AVX-512, or AVX2: torch then says so, and the row does not count.
    reasons = {o.environment: o.detail for o in outcomes if o.result != "equal"}
    assert all(detail.startswith("aten is") for detail in reasons.values()), reasons
    assert len({o.digest for o in outcomes if o.result == "equal"}) == 1
    assert {o.engine for o in outcomes if o.result == "equal"} == {"torch", "numba", "numpy"}


def test_fused_and_separate_products_disagree_over_tables_of_24_bits():
    outcomes = planted("24-bit-tables", "numba, fused multiply-adds", "numba")
    assert [o.detail for o in outcomes] == ["tables: bf16"] * 2
    assert [o.facts["fuses"] for o in outcomes] == ["yes", "no"]
    assert disagreements(outcomes) == {"rotate": 2, "wide_rows": 2}


def test_the_root_of_torch_is_seen_in_the_sort_key():
    (with_vectors, without) = planted(
        "torch-sqrt", "torch default, 1 thread", "torch, MKL without vector code"
    )
    assert with_vectors.detail.startswith("hard_roots: ")
    # MKL chooses its code by the processor's maker: on Intel's the root errs below the middle, on
    # AMD's above it.
    below, above = (f"bf16/{side}, f16/{side}, f32/{side}" for side in ("below", "above"))
    assert without.detail in (f"hard_roots: {below}", f"hard_roots: {above}")


@pytest.mark.parametrize(
    ("plant", "where"), [("libm-cos", "tables: f32"), ("numpy-cos", "tables: bf16, f16, f32")]
)
def test_cosines_that_are_not_correctly_rounded_are_seen_in_the_tables(plant, where):
    (outcome,) = planted(plant, "numpy as installed")
    assert (outcome.result, outcome.detail) == ("different", where)


def test_numpys_cosines_depend_on_its_vector_code():
    outcomes = planted("numpy-cos", "numpy as installed", "numpy as installed, baseline only")
    assert "tables" in disagreements(outcomes)
