"""Which engine turns the keys here: the fastest that is installed and proves itself.

An engine is never trusted by name: it reproduces the golden vectors when it is loaded, or it is not
used (RENDER_SPEC section 8). The numpy reference is held to the same vectors.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from functools import cache

from latentcrdt.errors import EngineSelfTestError
from latentcrdt.render.engine import Engine
from latentcrdt.render.golden import self_test

logger = logging.getLogger(__name__)

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
    module, kind = ENGINES[name]
    engine: Engine = getattr(importlib.import_module(module), kind)()
    self_test(engine)
    return engine
