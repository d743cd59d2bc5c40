"""How two runs differ, for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from latentcrdt.cli.output import console, printable

if TYPE_CHECKING:
    from latentcrdt.evals.diff import Change, Differing, RunDiff

SHOWN = 20
"""Differing answers that are printed; ``--json`` has them all."""

LONGEST = 120
"""Characters of a value that are printed."""


def print_diff(diff: RunDiff) -> None:
    """Print the counts, then the differing answers, first ones first."""
    for change in diff.settings:
        _line(f"setting {_spelled(change)}")
    for side, keys in (("first", diff.only_first), ("second", diff.only_second)):
        if keys:
            _line(f"{len(keys)} answers only in the {side} run, such as {keys[0]}")
    found = diff.differing
    _line(
        f"{diff.num_common} answers in both: {len(found)} differ; "
        f"text in {_count(found, 'answers')}, score in {_count(found, 'score')}, "
        f"receipt in {_count(found, 'receipt')}"
    )
    for entry in found[:SHOWN]:
        _line(str(entry.key))
        for what in ("answers", "score", "receipt", "other"):
            change = getattr(entry, what)
            if change is not None:
                _line(f"    {what}: {_spelled(change)}")
    if len(found) > SHOWN:
        _line(f"and {len(found) - SHOWN} more")


def _count(found: Sequence[Differing], what: str) -> int:
    return sum(getattr(entry, what) is not None for entry in found)


def _spelled(change: Change) -> str:
    first, second = (json.dumps(value)[:LONGEST] for value in (change.first, change.second))
    return f"{change.path or 'all'}: {first} -> {second}"


def _line(text: str) -> None:
    console().print(printable(text), markup=False, soft_wrap=True)
