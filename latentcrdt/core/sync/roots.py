"""The roots of all states of a replica: equal replicas find out that they are by one digest.

On the wire: ``["latentcrdt.roots", 1, cursor, [[state name, root, end], ...]]``, the names
ascending. The digest leaves the cursor out: where a replica stands in its own feed is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latentcrdt.core.delta import MAX_EXPIRES_AT
from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    Buffer,
    as_bytes,
    as_int,
    as_list,
    as_text,
    check_one_spelling,
    decode,
    digest,
    encode,
)
from latentcrdt.core.ids import Digest, RootDigest, StateName
from latentcrdt.core.state import RETRACTED_ROOT, LatentState
from latentcrdt.core.sync.feed import Cursor

KIND = "latentcrdt.roots"
VERSION = 1


@dataclass(frozen=True, slots=True)
class StateRoot:
    """What two replicas compare of one state: equal exactly when the states are."""

    root: RootDigest
    expires_at: int | None

    @classmethod
    def of(cls, state: LatentState) -> StateRoot:
        """Return the root and lifetime of a state."""
        return cls(state.root, state.expires_at)

    @property
    def bare(self) -> LatentState:
        """The state without its ids: what merges at no cost."""
        return LatentState(expires_at=self.expires_at, retracted=self.root == RETRACTED_ROOT)


@dataclass(frozen=True, slots=True)
class Roots:
    """A replica at one moment."""

    cursor: Cursor
    """What its feed tells from here on is not in ``states`` yet."""
    states: Mapping[StateName, StateRoot]

    @property
    def digest(self) -> Digest:
        """Equal on two replicas exactly when all their states are."""
        return Digest(digest(encode(KIND, VERSION, [self._entries()])))

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return encode(KIND, VERSION, [str(self.cursor), self._entries()])

    @classmethod
    def decode(cls, data: Buffer) -> Roots:
        """Read the canonical bytes; raises InvalidInputError for any others."""
        cursor, entries = as_list(decode(KIND, VERSION, data), "roots", 2)
        states = dict(_read_entry(entry) for entry in as_list(entries, "states"))
        roots = cls(Cursor.parse(as_text(cursor, "cursor", 64)), states)
        check_one_spelling("roots", data, roots.encode())
        return roots

    def _entries(self) -> list[list[str | bytes | int | None]]:
        return [[str(name), r.root, r.expires_at] for name, r in sorted(self.states.items())]


def _read_entry(entry: object) -> tuple[StateName, StateRoot]:
    name, root, end = as_list(entry, "state", 3)
    return StateName(as_text(name, "state name", 63)), StateRoot(
        RootDigest(as_bytes(root, "root", DIGEST_BYTES)),
        None if end is None else as_int(end, "expires_at", 0, MAX_EXPIRES_AT),
    )
