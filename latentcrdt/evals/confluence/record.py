"""Record: what was measured on one pair behind one prefix, or why it was refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from latentcrdt.errors import MalformedError
from latentcrdt.evals.append_file import read_lines
from latentcrdt.evals.confluence.merges import Merge
from latentcrdt.evals.record import to_line
from latentcrdt.merging.gate.metrics import Metrics

APART = math.log(2)
"""Between balances of branches that lie closer together nothing can be said to lean."""


class Key(NamedTuple):
    """Which record of a run this is."""

    pair_id: str
    padding_tokens: int


@dataclass(frozen=True, slots=True)
class Record:
    """One pair at one length of the shared prefix."""

    pair_id: str
    category: str
    padding_tokens: int
    refused: str | None = None
    trimmed: int = 0
    """Tokens cut off the end of the longer branch."""
    are_lexical: bool = False
    """As in `Tokens`."""
    late_cosine: float = 0.0
    alone: tuple[Metrics, ...] = ()
    """The figures of either branch alone."""
    merges: tuple[Merge, ...] = ()

    @property
    def key(self) -> Key:
        """Which record of a run this is."""
        return Key(self.pair_id, self.padding_tokens)

    def merge(self, strategy: str, anchor: str = "a") -> Merge | None:
        """Return one merge, if it was made."""
        found = (m for m in self.merges if (m.strategy, m.anchor) == (strategy, anchor))
        return next(found, None)

    def lean(self, metrics: Metrics) -> float | None:
        """Return where a balance lies between those of the branches alone: 1 A's, -1 B's.

        None unless A alone has a balance that is greater by `APART` than that of B alone.
        """
        if not self.alone:
            return None
        of_a, of_b = (alone.balance for alone in self.alone)
        return (2 * metrics.balance - of_a - of_b) / (of_a - of_b) if of_a - of_b > APART else None


def record_line(record: Record) -> bytes:
    """Return the one line that spells a record."""
    return to_line(asdict(record))


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file; MalformedError names a line that is none."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield _record(line)
        except (ValueError, TypeError, KeyError) as error:
            raise MalformedError(f"{path}, line {number}: expected a record: {error}") from error


def _record(line: bytes) -> Record:
    fields = json.loads(line)
    fields["alone"] = tuple(Metrics(**entry) for entry in fields["alone"])
    fields["merges"] = tuple(
        Merge(**{**entry, "metrics": Metrics(**entry["metrics"])}) for entry in fields["merges"]
    )
    return Record(**fields)
