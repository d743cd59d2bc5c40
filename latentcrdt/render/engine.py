"""Engines: who turns the keys (RENDER_SPEC section 8).

An engine is never trusted by name: it reproduces the golden vectors when it is loaded, or it is not
used. The numpy reference is held to the same vectors.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from functools import cache
from typing import Protocol

from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import EngineSelfTestError
from latentcrdt.render.tables import Bits, RotationTable

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Rotates keys from one array into another."""

    @property
    def name(self) -> str:
        """What benchmarks and logs call it."""

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``, of the same shape.

        RENDER_SPEC section 6. May be called from any thread.
        """


ENGINES = {
    "numba": ("latentcrdt.render.numba_engine", "NumbaEngine"),
    "torch": ("latentcrdt.render.torch_engine", "TorchEngine"),
    "numpy": ("latentcrdt.render.reference", "ReferenceEngine"),
}
"""The engines by what they need installed, fastest first. The reference is always there."""


@cache
def select_engine() -> Engine:
    """Return the fastest engine that is installed here and passes its golden self-test.

    Raises EngineSelfTestError if not even the reference does.
    """
    for name in ENGINES:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            return load_engine(name)
        except (EngineSelfTestError, ImportError) as error:
            if name == "numpy":
                raise
            logger.warning("the %s engine is not used: %s", name, error)
    raise AssertionError("numpy is a dependency of this package")


def load_engine(name: str) -> Engine:
    """Return one engine of ``ENGINES``, after its golden self-test (EngineSelfTestError)."""
    from latentcrdt.render.golden import self_test  # noqa: PLC0415  # golden renders with engines

    module, kind = ENGINES[name]
    engine: Engine = getattr(importlib.import_module(module), kind)()
    self_test(engine)
    return engine
