"""One row of the matrix: how a process is started, and what it must then find itself to be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """How to start one engine in one environment."""

    name: str
    engine: str
    command: tuple[str, ...] = (sys.executable,)
    """The interpreter, under an emulator or not."""
    variables: Mapping[str, str] = field(default_factory=dict)
    path: tuple[Path, ...] = ()
    """Folders of packages that come before the interpreter's own."""
    alterations: tuple[str, ...] = ()
    expects: Mapping[str, Any] = field(default_factory=dict)
    """Facts the process must report: an environment that is not what it says proves nothing."""
    missing: str = ""
    """Why it cannot be started here; empty if it can."""


@dataclass(frozen=True)
class Missing:
    """What could not be had on this machine, and why."""

    reason: str
