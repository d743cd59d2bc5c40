"""Faults of a simulated disk, drawn from a seed: one a process, at one of its operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

from latentcrdt.testing.simulation.disk import GoneError

KINDS = ("none", "killed", "power cut", "sync fails", "disk full", "disk fails")

_SYNCS = {"sync", "sync_directory"}
_GROWS = {"create", "append", "link", "rename", "make_directory"}

SHORT, PUSH, OPENING = 12, 40, 330
"""Operations: of a push, of several, and of the first opening, which makes 256 directories."""


class Fault:
    """What happens to one process, as `latentcrdt.testing.simulation.disk.Before`."""

    def __init__(self, kind: str, point: int, *, lasts: int = 1) -> None:
        """``point``: how many operations that it concerns happen before it strikes."""
        self.kind = kind
        self.has_struck = False
        self._countdown = point
        self._lasts = lasts
        """Operations in a row that fail when the disk is full or fails: later ones work again."""

    @classmethod
    def drawn(cls, rng: Random) -> Fault:
        """Return any fault, at any point."""
        point = rng.randrange(rng.choice((SHORT, PUSH, PUSH, OPENING)))
        return cls(rng.choice(KINDS), point, lasts=rng.choice((1, 5)))

    def __call__(self, operation: str, path: Path) -> None:
        """Let the operation happen, or not."""
        if not self._concerns(operation):
            return
        self._countdown -= 1
        if not -self._lasts <= self._countdown < 0:
            return
        self.has_struck = True
        if self.kind in ("killed", "power cut"):
            raise GoneError
        code = errno.ENOSPC if self.kind == "disk full" else errno.EIO
        raise OSError(code, os.strerror(code), str(path))

    def _concerns(self, operation: str) -> bool:
        match self.kind:
            case "none":
                return False
            case "sync fails":
                return operation in _SYNCS
            case "disk full":
                return operation in _GROWS
            case "disk fails":
                return operation not in _SYNCS
            case _:
                return True
