"""RunDirectory: everything that one run stored, and where a killed one goes on.

Layout::

    manifest.json    what was run (equal or refused when a run goes on) and on what machines
    answers.jsonl    one record a line; the same bytes however often the run was interrupted
    receipts.jsonl   the receipts that records name by digest, each once
    timings.jsonl    how long each answer took
    .lock            held by the process that adds to it

A receipt and a timing are written before the record that they belong to: what has a record is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from latentcrdt.core.encoding import digest
from latentcrdt.evals.append_file import AppendFile, read_lines
from latentcrdt.evals.manifest import begin_run
from latentcrdt.evals.record import (
    Key,
    Record,
    Timing,
    read_line,
    record_line,
    to_line,
)
from latentcrdt.store.lock import hold_lock

ANSWERS, RECEIPTS, TIMINGS = "answers.jsonl", "receipts.jsonl", "timings.jsonl"


class RunDirectory:
    """A run's files, open to be added to by one process. A context manager."""

    def __init__(self, path: Path, settings: Mapping[str, Any], session: Mapping[str, Any]) -> None:
        """Begin a run in a new or empty directory, or go on with the same one.

        ``settings`` is everything that the answers depend on; ``session`` says on what machine this
        process runs. Raises InvalidRequestError when the directory holds a run of other settings,
        StoreFailedError when another process has it open.
        """
        path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.enter_context(hold_lock(path / ".lock"))
            begin_run(path, settings, session)
            self._answers = opened.enter_context(AppendFile(path / ANSWERS))
            self._receipts = opened.enter_context(AppendFile(path / RECEIPTS))
            self._timings = opened.enter_context(AppendFile(path / TIMINGS))
            self._done = {record.key for record in read_records(path)}
            self._known = {digest(line).hex() for line in read_lines(path / RECEIPTS)}
            self._opened = opened.pop_all()

    def __contains__(self, key: Key) -> bool:
        """Whether this answer was stored already."""
        return key in self._done

    def add_receipt(self, receipt: Mapping[str, object]) -> str:
        """Store a receipt, once, and return the digest by which a record names it."""
        line = to_line(receipt)
        name = digest(line).hex()
        if name not in self._known:
            self._receipts.add(line)
            self._known.add(name)
        return name

    def add(self, record: Record, timing: Timing) -> None:
        """Store an answer, whose receipt is stored already."""
        self._timings.add(record_line(timing))
        self._answers.add(record_line(record))
        self._done.add(record.key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)


def read_records(path: Path) -> Iterator[Record]:
    """Yield the answers of a run in the order in which they were made."""
    for number, line in enumerate(read_lines(path / ANSWERS), start=1):
        yield read_line(Record, line, f"{path / ANSWERS}, line {number}")


def read_timings(path: Path) -> dict[Key, Timing]:
    """Return the timing of each answer; of one that was begun twice, the one that was finished."""
    lines = enumerate(read_lines(path / TIMINGS), start=1)
    timings = (
        read_line(Timing, line, f"{path / TIMINGS}, line {number}") for number, line in lines
    )
    return {timing.key: timing for timing in timings}


def read_receipts(path: Path) -> dict[str, Any]:
    """Return the receipts of a run by digest."""
    return {digest(line).hex(): json.loads(line) for line in read_lines(path / RECEIPTS)}
