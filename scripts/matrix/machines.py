"""Other architectures, as Debian, qemu and wheels call them, and what runs on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

Requirements = tuple[str, ...]


def _installed(*names: str) -> Requirements:
    return tuple(f"{name}=={version(name)}" for name in names)


@dataclass(frozen=True)
class Stack:
    """An engine, and the wheels for it that come before Debian's packages."""

    name: str
    engine: str
    folders: tuple[Requirements, ...] = ()
    """One folder for each group, the one to be found first at the front."""


@dataclass(frozen=True)
class Machine:
    """One processor of an architecture."""

    name: str
    debian: str
    emulator: str
    processor: str
    """For qemu's ``-cpu``."""
    platforms: tuple[str, ...]
    """Tags of wheels that run on it."""
    stacks: tuple[Stack, ...]
    expects: Mapping[str, Any]
    """Facts that every process there must report."""
    expects_torch: Mapping[str, Any] = field(default_factory=dict)


BASE = _installed("blake3", "typing-extensions")
"""What the renderer needs and Debian does not have."""

DEBIAN = Stack("Debian's numpy", "numpy")
NUMPY = _installed("numpy")
TORCH = ("torch==2.9.1",)
"""The oldest release that is supported. Its wheel for aarch64 brings no CUDA."""
TORCH_NEEDS = _installed(
    "filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "sympy"
)

AARCH64_WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
AARCH64_STACKS = (
    DEBIAN,
    Stack(f"numpy {version('numpy')}", "numpy", (NUMPY,)),
    Stack("torch 2.9.1", "torch", (NUMPY, TORCH + TORCH_NEEDS)),
    Stack("numba", "numba", (NUMPY, _installed("numba", "llvmlite"))),
)

NEON = Machine(
    name="aarch64 NEON",
    debian="arm64",
    emulator="qemu-aarch64",
    processor="max,sve=off",
    platforms=AARCH64_WHEELS,
    stacks=AARCH64_STACKS,
    expects={"machine": "aarch64"},
    expects_torch={"aten": "DEFAULT"},
)

MACHINES = (
    NEON,
    replace(NEON, name="aarch64 SVE", processor="max,sve256=on", expects_torch={"aten": "SVE256"}),
    Machine(
        name="s390x, big-endian",
        debian="s390x",
        emulator="qemu-s390x",
        processor="max",
        platforms=("manylinux2014_s390x",),
        stacks=(DEBIAN,),
        expects={"byteorder": "big"},
    ),
    Machine(
        name="armhf, 32 bits",
        debian="armhf",
        emulator="qemu-arm",
        processor="max",
        platforms=("manylinux2014_armv7l",),
        stacks=(DEBIAN,),
        expects={"bits": 32},
    ),
    Machine(
        name="i386, 32 bits",
        debian="i386",
        emulator="qemu-i386",
        processor="coreduo",  # SSE2, the least that numpy takes
        platforms=("manylinux2014_i686",),
        stacks=(DEBIAN,),
        expects={"bits": 32},
    ),
)
