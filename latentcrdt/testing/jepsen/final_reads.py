"""The last word of every server: set-full is content if the last read of any server has it all.

Issue 489 of AntidoteDB is of this kind: acknowledged adds were on the server that took them, and on
no other. Here every server's last read must hold every element that was acknowledged, or read
anywhere; so those that hold all of them agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.set_full import Validity


@dataclass(frozen=True, slots=True)
class FinalReads:
    """What the servers said last."""

    validity: Validity
    missing: Mapping[int, Elements]
    """By server: what was acknowledged, or read anywhere, and is not there; servers that lack
    nothing are left out."""
    unread: tuple[int, ...]
    """Servers that no read reached after the last add had ended."""


def check(history: History, servers: Collection[int]) -> FinalReads:
    """Judge the last read of each server that began after the last add had ended."""
    adds, reads = history.adds(), history.reads()
    known = {element for element, add in adds.items() if add.acknowledgement}
    known.update(element for read in reads for element in read.elements)
    end = max(((add.completion or add.invocation).index for add in adds.values()), default=-1)
    last = {r.invocation.server: set(r.elements) for r in reads if r.invocation.index > end}
    missing = {s: Elements.of(known - last[s]) for s in servers if s in last and known - last[s]}
    unread = tuple(server for server in servers if server not in last)
    validity: Validity = "unknown" if unread or not known else "valid"
    return FinalReads("invalid" if missing else validity, missing, unread)
