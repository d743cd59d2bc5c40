"""What a process may be altered by, by name: two things that must change no bit, and plants.

A plant is a way of rendering that looks right and is not reproducible; the matrix must see it.
Each function alters the process it is called in, which must not have imported the renderer yet.
"""

# Imports stand inside the functions: an environment has only some of these packages, and the
# first one must act before anything starts threads.
# ruff: noqa: PLC0415, SLF001

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType


@dataclass(frozen=True)
class Alteration:
    """A change of the running process."""

    does: str
    apply: Callable[[], None]
    needs: str = "numpy"
    """The package without which it cannot be applied."""


def _flush_to_zero() -> None:
    import torch

    assert torch.set_flush_denormal(True), "this processor cannot flush"


def _fuse() -> None:
    import numba

    from latentcrdt.render import numba_engine

    vars(numba_engine)["njit"] = partial(numba.njit, fastmath={"contract"})


def _plant_24_bit_tables() -> None:
    from latentcrdt.core.geometry import Dtype
    from latentcrdt.render import tables

    tables.TABLE_BITS[Dtype.BF16] = 24


def _plant_torch_sqrt() -> None:
    import numpy as np
    import torch

    from latentcrdt.render import sort_key

    numpy = ModuleType("numpy, with the root of torch")
    vars(numpy).update(vars(np))
    vars(numpy)["sqrt"] = lambda x: torch.sqrt(torch.from_numpy(x)).numpy()
    vars(sort_key)["np"] = numpy


def _plant_libm_cos() -> None:
    from latentcrdt.render import tables

    def entry(delta: int, frequency: float, precision: int) -> tuple[float, float]:
        angle = delta * frequency
        return _rounded(math.cos(angle), precision), _rounded(math.sin(angle), precision)

    tables._entry = entry


def _plant_numpy_cos() -> None:
    import numpy as np

    from latentcrdt.render import tables

    def entry(delta: int, frequency: float, precision: int) -> tuple[float, float]:
        # An array, as a model has it: numpy has vector code for arrays only.
        angles = np.full(16, np.float32(delta) * np.float32(frequency), dtype=np.float32)
        cos, sin = float(np.cos(angles)[0]), float(np.sin(angles)[0])
        return _rounded(cos, precision), _rounded(sin, precision)

    tables._entry = entry


def _rounded(x: float, precision: int) -> float:
    """Return x rounded to nearest even at ``precision`` significant bits."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(math.ldexp(mantissa, precision)), exponent - precision)


HARMLESS = {
    "flush-to-zero": Alteration("flush subnormals, inputs and results", _flush_to_zero, "torch"),
    "fused": Alteration("let LLVM contract a * c - b * s into a fused instruction", _fuse, "numba"),
}
"""What RENDER_SPEC promises to be immune to."""

PLANTS = {
    "24-bit-tables": Alteration(
        "table entries of bf16 with 24 bits: products round, so fusing shows",
        _plant_24_bit_tables,
    ),
    "torch-sqrt": Alteration(
        "torch.sqrt instead of IEEE's in the sort key", _plant_torch_sqrt, "torch"
    ),
    "libm-cos": Alteration(
        "libm's binary64 cos and sin of the rounded product, then rounded to the table",
        _plant_libm_cos,
    ),
    "numpy-cos": Alteration(
        "numpy's binary32 cos and sin, as models compute them, then rounded to the table",
        _plant_numpy_cos,
    ),
}
"""Errors of the kind that nobody notices on one machine."""

ALTERATIONS = HARMLESS | PLANTS
