"""Record: one stored answer, as a line of JSON with one spelling.

What differs between two runs of the same thing, the time that it took, is kept apart: so the file
of the answers of an interrupted run ends up the same, byte for byte, as that of one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

from latentcrdt.errors import MalformedError

T = TypeVar("T", "Record", "Timing")


class Key(NamedTuple):
    """Which answer of a run this is."""

    num_agents: int
    regime: str
    item_id: str
    method: str

    def __str__(self) -> str:
        return f"{self.num_agents} agents, {self.regime}, {self.item_id}, {self.method}"


@dataclass(frozen=True, slots=True)
class Record:
    """What a method answered to one question, and what it was handed."""

    num_agents: int
    regime: str
    item_id: str
    method: str
    family: str
    expected: str
    text: str
    scores: Mapping[str, float]
    context_tokens: int
    prefilled_tokens: int
    bytes_moved: int
    receipt: str | None
    """BLAKE3 of the receipt's line in ``receipts.jsonl``; None: nothing was rendered."""
    facts: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Which answer of a run this is."""
        return Key(self.num_agents, self.regime, self.item_id, self.method)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one answer took: no part of what two runs have in common."""

    num_agents: int
    regime: str
    item_id: str
    method: str
    first_token_s: float
    answer_s: float
    """Seconds for the whole answer, captures that no earlier method had made included."""

    @property
    def key(self) -> Key:
        """Which answer of a run this is."""
        return Key(self.num_agents, self.regime, self.item_id, self.method)


def to_line(document: Any) -> bytes:
    """Return a document as one line of JSON, members by name, without spaces."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode() + b"\n"


def record_line(record: Record | Timing) -> bytes:
    """Return the line of a record or a timing."""
    return to_line(asdict(record))


def read_line(kind: type[T], line: bytes, where: str) -> T:
    """Return the record or timing of a line; MalformedError names ``where`` for anything else."""
    try:
        return kind(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise MalformedError(f"{where}: expected a {kind.__name__.lower()}: {error}") from error
