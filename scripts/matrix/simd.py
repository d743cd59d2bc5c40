"""Which vector code this numpy has beyond its baseline and will use here, by its own names."""

from __future__ import annotations

import importlib
import json

import numpy as np


def dispatched() -> list[str]:
    """Return the features that the processor has and the environment leaves on."""
    package = "numpy._core" if int(np.__version__.split(".")[0]) >= 2 else "numpy.core"
    core = importlib.import_module(f"{package}._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


if __name__ == "__main__":
    print(json.dumps(dispatched()))
