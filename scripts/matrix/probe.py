"""Compute the golden stages in this very process and print them, with facts about it, as JSON.

Runs under every interpreter of the matrix: needs what the renderer needs (numpy, blake3, msgpack)
and nothing else.
"""

# ruff: noqa: PLC0415 - alterations come first, and an environment has one engine's packages only

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import platform
import sys
import threading
from typing import Any

from scripts.matrix.alterations import ALTERATIONS


def main() -> None:
    """Print ``{"facts": ..., "stages": ...}``, or ``{"missing": reason}``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["numba", "torch", "numpy"])
    parser.add_argument("--alter", action="append", choices=ALTERATIONS, default=[])
    options = parser.parse_args()
    alterations = [ALTERATIONS[name] for name in options.alter]
    for package in (options.engine, *(a.needs for a in alterations)):
        if importlib.util.find_spec(package) is None:
            print(json.dumps({"missing": f"{package} is not installed there"}))
            return
    for alteration in alterations:
        alteration.apply()
    from latentcrdt.render.selection import ENGINES
    from latentcrdt.testing.golden import compute
    from scripts.matrix import hard_roots, wide_rows

    # Not load_engine: it would stop at its self-test, and the stage is what we want to know.
    module, kind = ENGINES[options.engine]
    engine = getattr(importlib.import_module(module), kind)()
    more = {"wide_rows": wide_rows.compute(engine), "hard_roots": hard_roots.compute()}
    print(json.dumps({"facts": facts(engine), "stages": compute(engine) | more}))


def facts(engine: Any) -> dict[str, Any]:
    """Return what this process is, as it finds itself."""
    import numpy as np

    from scripts.matrix import simd

    found: dict[str, Any] = {
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
        "bits": sys.maxsize.bit_length() + 1,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numpy_dispatched": simd.dispatched(),
        "flushes": flushes(),
        "fuses": fuses(engine),
    }
    if engine.name == "torch":
        import torch

        found["torch"] = torch.__version__
        found["aten"] = torch.backends.cpu.get_cpu_capability()
        found["threads"] = torch.get_num_threads()
    if engine.name == "numba":
        import numba
        from numba.core.registry import cpu_target

        found["numba"] = numba.__version__
        found["numba_cpu"] = cpu_target.target_context.codegen().magic_tuple()[1]
        found["numba_opt"] = int(vars(numba.config)["OPT"])
    return found


def flushes() -> bool:
    """Return whether a thread that starts now flushes subnormals to zero."""
    import numpy as np

    smallest = np.full(64, 2.0**-149, dtype=np.float32)
    products = []
    thread = threading.Thread(target=lambda: products.append(smallest * smallest[:1] ** 0))
    thread.start()
    thread.join()
    return not products[0].any()


def fuses(engine: Any) -> str:
    """Return how much of this engine's arithmetic fuses: seen from products that are inexact.

    With a = b and c = s, a * c - b * s is 0 if both products round, and one product's rounding
    error, 2^-30, if either does not. Real tables have 16 bits, so that it cannot matter. A loop's
    body and its remainder may differ: 24 pairs have both.
    """
    import numpy as np

    from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
    from latentcrdt.render.tables import RotationTable

    pairs = 24
    rope = RopeDescriptor(RopeStyle.HALF, 2 * pairs, np.ones(pairs, dtype="<f4").tobytes())
    entries = np.full(pairs, 1 + 2.0**-23)
    table = RotationTable(rope, entries, entries, np.ones(pairs, dtype=np.bool_))
    keys = np.full((1, 8, 2 * pairs), 0x3F81, dtype="<u2")  # 1 + 2^-7 in bf16
    into = np.zeros_like(keys)
    engine.rotate(keys, into, Dtype.BF16, table)
    fused = (into[..., :pairs] & 0x7FFF) != 0
    return "yes" if fused.all() else "partly" if fused.any() else "no"


if __name__ == "__main__":
    main()
