"""Environments under qemu's user mode: older x86-64 processors, and other architectures.

The x86-64 ones run the installed packages. The others run a Debian tree that is unpacked and never
entered: qemu looks for its loader and libraries there, and Python for its own.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator

from scripts.matrix.environment import Environment, Missing
from scripts.matrix.installed import ENGINES
from scripts.matrix.machines import BASE, MACHINES, Machine, Stack
from scripts.matrix.provisions import debian_tree, wheels

X86_PROCESSORS = ("Nehalem", "Haswell")
"""Before AVX, and the first with AVX2 and fused multiply-adds."""


def environments() -> Iterator[Environment]:
    """Yield every engine on older processors, then every stack on every other machine."""
    missing = _without("qemu-x86_64")
    if platform.machine() != "x86_64":
        missing = "the installed packages are not for x86-64"
    for processor in X86_PROCESSORS:
        command = ("qemu-x86_64", "-cpu", processor, sys.executable)
        for engine in ENGINES:
            name = f"x86-64 {processor}, {engine}"
            yield Environment(name, engine, command, missing=missing)
    for machine in MACHINES:
        for stack in machine.stacks:
            yield _environment(machine, stack)


def _environment(machine: Machine, stack: Stack) -> Environment:
    name = f"{machine.name}, {stack.name}"
    if missing := _without(machine.emulator):
        return Environment(name, stack.engine, missing=missing)
    tree = debian_tree(machine.debian)
    if isinstance(tree, Missing):
        return Environment(name, stack.engine, missing=tree.reason)
    python = max(tree.glob("usr/bin/python3.[0-9]*"))
    number = python.name.removeprefix("python")
    path = []
    for requirements in (*stack.folders, BASE):
        folder = wheels(requirements, platforms=machine.platforms, python=number)
        if isinstance(folder, Missing):
            return Environment(name, stack.engine, missing=folder.reason)
        path.append(folder)
    # Debian's numpy finds its linear algebra by alternatives, which an unpacked tree has not set.
    libraries = {str(file.parent) for file in tree.glob("usr/lib/*/*/lib*.so.3")}
    search = f"LD_LIBRARY_PATH={os.pathsep.join(sorted(libraries))}"
    emulator = (machine.emulator, "-cpu", machine.processor, "-L", str(tree), "-E", search)
    return Environment(
        name,
        stack.engine,
        (*emulator, str(python)),
        variables={"PYTHONHOME": str(tree / "usr"), "PYTHONDONTWRITEBYTECODE": "1"},
        path=(*path, tree / "usr/lib/python3/dist-packages"),
        expects={**machine.expects, **(machine.expects_torch if stack.engine == "torch" else {})},
    )


def _without(program: str) -> str:
    return "" if shutil.which(program) else f"{program} is not installed"
