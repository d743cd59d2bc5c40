"""Engines: who turns the keys (RENDER_SPEC section 8).

An engine is never trusted by name: it reproduces the golden vectors when it is loaded, or it is not
used. The numpy reference is held to the same vectors, by the tests and whenever torch is missing.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype
from latentcrdt.render.tables import RotationTable

Bits: TypeAlias = NDArray[np.unsignedinteger]
"""K or V as the little-endian integers that spell its elements, ``[H, T, D]``, maybe strided."""


class Engine(Protocol):
    """Rotates keys from one array into another."""

    @property
    def name(self) -> str:
        """What benchmarks and logs call it."""

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``, of the same shape.

        RENDER_SPEC section 6. May be called from any thread.
        """


@cache
def select_engine() -> Engine:
    """Return the fastest engine that this installation has, after its golden self-test.

    Raises EngineSelfTestError if it does not reproduce the vectors.
    """
    from latentcrdt.render.golden import self_test  # noqa: PLC0415  # golden renders with engines

    engine: Engine
    if importlib.util.find_spec("torch") is not None:
        from latentcrdt.render.torch_engine import TorchEngine  # noqa: PLC0415  # optional, slow

        engine = TorchEngine()
    else:
        from latentcrdt.render.reference import ReferenceEngine  # noqa: PLC0415  # as above

        engine = ReferenceEngine()
    self_test(engine)
    return engine
