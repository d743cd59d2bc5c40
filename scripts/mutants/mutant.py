"""Mutant: one bug to plant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A bug: ``old`` becomes ``new`` in one file, and these tests must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str
