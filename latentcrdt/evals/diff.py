"""Two runs compared, answer by answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.record import Key, Record
from latentcrdt.evals.run_directory import read_receipts, read_records

ABSENT = "(absent)"
"""What stands for a member that one document has and the other has not."""


@dataclass(frozen=True, slots=True)
class Change:
    """A place where two documents differ, with what each has there."""

    path: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class Differing:
    """One answer that both runs have, and not the same."""

    key: Key
    answers: Change | None
    """What was answered, where that differs."""
    score: Change | None
    """The first metric that differs."""
    receipt: Change | None
    """The first difference of what was rendered."""
    other: Change | None
    """The first difference of anything else: expected answer, cost, facts."""


@dataclass(frozen=True, slots=True)
class RunDiff:
    """How two runs differ."""

    num_common: int
    only_first: tuple[Key, ...]
    only_second: tuple[Key, ...]
    settings: tuple[Change, ...]
    differing: tuple[Differing, ...]
    """In the order of the first run."""

    @property
    def is_empty(self) -> bool:
        """Whether both runs hold the same answers; settings may still differ."""
        return not (self.only_first or self.only_second or self.differing)


def diff_runs(first: Path, second: Path) -> RunDiff:
    """Return how two runs differ. Raises as `read_manifest` and `read_records` do."""
    settings = [read_manifest(path)["settings"] for path in (first, second)]
    receipts = read_receipts(first), read_receipts(second)
    ours = {record.key: record for record in read_records(first)}
    theirs = {record.key: record for record in read_records(second)}
    common = [key for key in ours if key in theirs]
    compared = (_compare(ours[key], theirs[key], *receipts) for key in common)
    return RunDiff(
        num_common=len(common),
        only_first=tuple(key for key in ours if key not in theirs),
        only_second=tuple(key for key in theirs if key not in ours),
        settings=tuple(changes(settings[0], settings[1])),
        differing=tuple(found for found in compared if found is not None),
    )


def changes(first: Any, second: Any, path: str = "") -> Iterator[Change]:
    """Yield every place where two JSON documents differ, in the order of the first."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in {**first, **second}:
            inner = f"{path}.{name}" if path else str(name)
            yield from changes(first.get(name, ABSENT), second.get(name, ABSENT), inner)
    elif isinstance(first, list) and isinstance(second, list):
        for i in range(max(len(first), len(second))):
            a, b = (side[i] if i < len(side) else ABSENT for side in (first, second))
            yield from changes(a, b, f"{path}[{i}]")
    elif first != second or type(first) is not type(second):
        yield Change(path, first, second)


def _compare(
    ours: Record, theirs: Record, our_receipts: dict[str, Any], their_receipts: dict[str, Any]
) -> Differing | None:
    if ours == theirs:
        return None
    answers = _first({"text": ours.text}, {"text": theirs.text})
    score = _first(ours.scores, theirs.scores)
    receipt = None
    if ours.receipt != theirs.receipt:
        receipt = _first(
            our_receipts.get(ours.receipt or "", ours.receipt),
            their_receipts.get(theirs.receipt or "", theirs.receipt),
        )
    other = _first(_rest(ours), _rest(theirs))
    return Differing(ours.key, answers, score, receipt, other)


def _first(first: Any, second: Any) -> Change | None:
    return next(changes(first, second), None)


def _rest(record: Record) -> dict[str, Any]:
    names = ("family", "expected", "context_tokens", "prefilled_tokens", "bytes_moved", "facts")
    return {name: getattr(record, name) for name in names}
