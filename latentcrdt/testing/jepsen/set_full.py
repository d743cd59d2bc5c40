"""The set-full checker, with Jepsen's definitions (jepsen.checker/set-full).

For each element that a client tried to add:

- *known* when its add was acknowledged, or a read that saw it ended, whichever came first.
- *stable* if there is a time after which every read that begins sees it. Its stable latency is how
  long after it was known that time came; 0 if no read that began later missed it.
- *stale* if it is stable, and a read that began after it was known missed it.
- *lost* if it was known, and then there is a time after which no read that begins sees it.
- *never read* otherwise: nobody knows that it was added, or no read began after that was known.

Invalid: an element is lost. Unknown: none is stable, so nothing was tested. Else valid: stale reads
are what an available replicated set does while it is partitioned.

Three differences. Latencies are nanoseconds, where Jepsen counts whole milliseconds, so that no
stale read is rounded away. An element that was read but never added makes the history invalid, as
with Jepsen's plain ``set`` checker. Duplicates cannot occur: a read is a set by its type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import Add, History, Read
from latentcrdt.testing.jepsen.operation import Operation

Validity: TypeAlias = Literal["valid", "invalid", "unknown"]
Outcome: TypeAlias = Literal["stable", "lost", "never read"]

QUANTILES = (0.0, 0.5, 0.95, 0.99, 1.0)
"""Of latencies, as Jepsen reports them."""

WORST_STALE = 8
"""Elements shown with the highest stable latencies."""


@dataclass(frozen=True, slots=True)
class ElementOutcome:
    """What became of one element."""

    element: int
    outcome: Outcome
    latency_ns: int | None
    """How long after it was known it became stable, or was lost; None if it was never read."""
    last_absent: Operation | None
    """The invocation of the last read to miss it."""


@dataclass(frozen=True, slots=True)
class SetFull:
    """The verdict on a history."""

    validity: Validity
    num_attempted: int
    num_acknowledged: int
    num_stable: int
    lost: Elements
    never_read: Elements
    stale: Elements
    unexpected: Elements
    """Read, and never added."""
    worst_stale: tuple[ElementOutcome, ...]
    stable_latencies_ns: Mapping[float, int]
    """By quantile; empty if no element is stable."""
    lost_latencies_ns: Mapping[float, int]


def check(history: History) -> SetFull:
    """Judge a history."""
    adds, reads = history.adds(), history.reads()
    known = _known(adds, reads)
    last_present = _last(adds, reads, is_present=True)
    last_absent = _last(adds, reads, is_present=False)
    by_outcome: dict[Outcome, list[ElementOutcome]] = {"stable": [], "lost": [], "never read": []}
    for element in adds:
        outcome = _outcome(
            element, known.get(element), last_present.get(element), last_absent.get(element)
        )
        by_outcome[outcome.outcome].append(outcome)
    stable, lost = by_outcome["stable"], by_outcome["lost"]
    stale = [outcome for outcome in stable if outcome.latency_ns]
    unexpected = {element for read in reads for element in read.elements} - set(adds)
    validity: Validity = "valid" if stable else "unknown"
    if lost or unexpected:
        validity = "invalid"
    return SetFull(
        validity,
        num_attempted=len(adds),
        num_acknowledged=sum(add.acknowledgement is not None for add in adds.values()),
        num_stable=len(stable),
        lost=_elements(lost),
        never_read=_elements(by_outcome["never read"]),
        stale=_elements(stale),
        unexpected=Elements.of(unexpected),
        worst_stale=tuple(sorted(stale, key=_latency_ns, reverse=True)[:WORST_STALE]),
        stable_latencies_ns=_quantiles(stable),
        lost_latencies_ns=_quantiles(lost),
    )


def _known(adds: Mapping[int, Add], reads: list[Read]) -> dict[int, Operation]:
    """Return, by element, the completion that first showed that it had been added."""
    known = {e: add.acknowledgement for e, add in adds.items() if add.acknowledgement}
    unseen = set(adds)
    for read in sorted(reads, key=lambda read: read.completion.index):
        for element in unseen.intersection(read.elements):
            if _may_see(read, adds[element]):
                unseen.discard(element)
                earlier = known.get(element)
                if earlier is None or read.completion.index < earlier.index:
                    known[element] = read.completion
    return known


def _last(adds: Mapping[int, Add], reads: list[Read], *, is_present: bool) -> dict[int, Operation]:
    """Return, by element, the invocation of the last read that saw it, or that missed it."""
    last: dict[int, Operation] = {}
    sought = set(adds)
    for read in reversed(reads):
        present = set(read.elements)
        for element in sought & present if is_present else sought - present:
            if _may_see(read, adds[element]):
                last[element] = read.invocation
                sought.discard(element)
    return last


def _may_see(read: Read, add: Add) -> bool:
    """Return whether a read says anything about an element: not if it ended before the add."""
    return add.invocation.index < read.completion.index


def _outcome(
    element: int,
    known: Operation | None,
    last_present: Operation | None,
    last_absent: Operation | None,
) -> ElementOutcome:
    if last_present and (not last_absent or last_absent.index < last_present.index):
        return ElementOutcome(element, "stable", _latency(known, last_absent), last_absent)
    # A read that misses an element whose add is still under way may simply have come before it.
    if known and last_absent and known.index < last_absent.index:
        return ElementOutcome(element, "lost", _latency(known, last_present), last_absent)
    return ElementOutcome(element, "never read", None, last_absent)


def _latency(known: Operation | None, last_otherwise: Operation | None) -> int:
    """Return how long after an element was known the last read began that contradicts the end."""
    if known is None or last_otherwise is None:
        return 0
    return max(0, last_otherwise.time_ns + 1 - known.time_ns)


def _latency_ns(outcome: ElementOutcome) -> int:
    return outcome.latency_ns or 0


def _elements(outcomes: list[ElementOutcome]) -> Elements:
    return Elements.of(outcome.element for outcome in outcomes)


def _quantiles(outcomes: list[ElementOutcome]) -> dict[float, int]:
    ascending = sorted(map(_latency_ns, outcomes))
    last = len(ascending) - 1
    return {q: ascending[min(last, math.floor(len(ascending) * q))] for q in QUANTILES if ascending}
