"""Bugs in the render and its engines."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "rotation sign, reference",
        "latentcrdt/render/reference.py",
        "a * c - b * s",
        "a * c + b * s",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "rotation sign, torch",
        "latentcrdt/render/torch_engine.py",
        "self._turned_first.addcmul_(self._second, sin, value=-1)",
        "self._turned_first.addcmul_(self._second, sin)",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "tiny keys overlooked unless one is 0, torch",
        "latentcrdt/render/torch_engine.py",
        "return int(magnitudes.amin()) < self._smallest",
        "return int(magnitudes.amin()) == 0",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "what is remembered of tiny keys in one layer serves for all, torch",
        "latentcrdt/render/torch_engine.py",
        "name = fragment_id, int(section.offsets[run])",
        "name = fragment_id, 0",
        "tests/render/test_rows.py",
    ),
    Mutant(
        "a run of just the length to be turned from its place is turned twice, torch",
        "latentcrdt/render/torch_engine.py",
        "shorter_than=long_rows",
        "shorter_than=long_rows + 1",
        "tests/render/test_rows.py",
    ),
    Mutant(
        "a chunk turned by the table of its two ends, torch",
        "latentcrdt/render/torch_engine.py",
        "(chosen == chosen[0]).all()",
        "chosen[0] == chosen[-1]",
        "tests/render/test_rows.py",
    ),
    Mutant(
        "tables of 24 bits for every dtype",
        "latentcrdt/render/tables.py",
        "{Dtype.BF16: 16, Dtype.F16: 13, Dtype.F32: 24}",
        "dict.fromkeys(Dtype, 24)",
        "tests/render/test_reals.py tests/render/test_engines.py",
    ),
    Mutant(
        "nothing is flushed",
        "latentcrdt/render/bits.py",
        "limit = SMALLEST_KEY[dtype] - 1",
        "limit = -1",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "keys at delta 0 are computed instead of copied",
        "latentcrdt/render/sources.py",
        "self._table_rows[deltas != 0] = table_rows",
        "self._table_rows[:] = 0",
        "tests/render/test_stream.py",
    ),
    Mutant(
        "norms summed by numpy instead of folded",
        "latentcrdt/render/sort_key.py",
        "np.sqrt(fold(squares))",
        "np.sqrt(squares.sum(axis=0, dtype=np.float32))",
        "tests/render/test_sort_key.py",
    ),
    Mutant(
        "NaN in K accepted",
        "latentcrdt/render/sort_key.py",
        "if int((bits & mask).max()) > limit:",
        "if int((bits & mask).max()) > limit + mask:",
        "tests/render/test_sort_key.py",
    ),
    Mutant(
        "base of a table not rounded to binary32",
        "latentcrdt/render/inv_freq.py",
        "SIGNIFICANT_BITS_32) for e in exponents",
        "20) for e in exponents",
        "tests/render/test_inv_freq.py",
    ),
)
