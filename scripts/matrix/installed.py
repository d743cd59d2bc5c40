"""Environments that need nothing but the installed packages and this processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.matrix.environment import ROOT, Environment

TORCH_CAPABILITIES = ("default", "avx2", "avx512")
ENGINES = ("torch", "numba", "numpy")


def environments() -> Iterator[Environment]:
    """Yield torch's code paths and threads, numba's targets, numpy's code paths, and FTZ."""
    yield from _torch()
    yield from _numba()
    yield from numpy_levels("numpy as installed")
    for engine in ENGINES:
        yield Environment(
            f"{engine}, flush-to-zero in every thread",
            engine,
            alterations=("flush-to-zero",),
            expects={"flushes": True},
        )


def numpy_levels(name: str, path: tuple[Path, ...] = ()) -> Iterator[Environment]:
    """Yield the reference on one numpy: all its vector code, none for AVX-512, none at all."""
    every = _dispatched(path)
    narrow = [feature for feature in every if "AVX512" not in feature and feature != "X86_V4"]
    for what, left in (("", every), (", no AVX-512", narrow), (", baseline only", [])):
        if what and left == every:
            continue  # this processor has no more
        disabled = [feature for feature in every if feature not in left]
        yield Environment(
            name + what,
            "numpy",
            path=path,
            variables={"NPY_DISABLE_CPU_FEATURES": " ".join(disabled)},
            expects={"numpy_dispatched": left},
        )


def _torch() -> Iterator[Environment]:
    for capability in TORCH_CAPABILITIES:
        for threads in (1, 2):
            yield Environment(
                f"torch {capability}, {threads} thread{'s'[: threads - 1]}",
                "torch",
                variables={"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": str(threads)},
                expects={"aten": capability.upper(), "threads": threads},
            )
    # The library behind torch.sqrt has code paths of its own, which ATEN's variable leaves alone.
    yield Environment(
        "torch, MKL without vector code", "torch", variables={"MKL_CBWR": "COMPATIBLE"}
    )


def _numba() -> Iterator[Environment]:
    yield Environment("numba", "numba", expects={"numba_opt": 3})
    yield Environment(
        "numba, generic processor",
        "numba",
        variables={"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        expects={"numba_cpu": "generic"},
    )
    yield Environment(
        "numba, not optimised", "numba", variables={"NUMBA_OPT": "0"}, expects={"numba_opt": 0}
    )
    yield Environment(
        "numba, fused multiply-adds", "numba", alterations=("fused",), expects={"fuses": "yes"}
    )


def _dispatched(path: tuple[Path, ...]) -> list[str]:
    """Ask a numpy what to disable: the names changed between releases."""
    variables = {"PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    command = [sys.executable, "-m", "scripts.matrix.simd"]
    answer = subprocess.run(command, env=variables, capture_output=True, check=True)
    names: list[str] = json.loads(answer.stdout)
    return names
