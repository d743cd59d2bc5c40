"""Verdict: everything that is to be said about one run, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from latentcrdt.testing.jepsen import final_reads, set_full
from latentcrdt.testing.jepsen.aftermath import Fetches
from latentcrdt.testing.jepsen.final_reads import FinalReads
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.nemesis import ENDED
from latentcrdt.testing.jepsen.set_full import SetFull, Validity

MS = 1_000_000
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checkers found, and what the run was made of."""

    set_full: SetFull
    final_reads: FinalReads
    fetches: Fetches
    agreement_s: float | None
    """From the first final read until all servers said the same; None: not in time."""
    duration_s: float
    num_reads: int
    """That succeeded."""
    faults: Mapping[str, int]
    """How often each class was inflicted."""
    errors: Mapping[str, int]
    """What clients were told, or not told, instead of an acknowledgement or a listing."""

    @property
    def validity(self) -> Validity:
        """Invalid if anything is wrong; unknown if nothing is, but too little was seen."""
        parts = (self.set_full.validity, self.final_reads.validity)
        if "invalid" in parts or self.fetches.failed or self.agreement_s is None:
            return "invalid"
        return "unknown" if "unknown" in parts else "valid"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield what to show, each with its name."""
        sets, last = self.set_full, self.final_reads
        yield "verdict", self.validity
        yield "adds", f"{sets.num_attempted} attempted, {sets.num_acknowledged} acknowledged"
        yield "lost", f"{len(sets.lost)}  {sets.lost}".rstrip()
        yield "stable", f"{sets.num_stable}, of them stale for a while: {len(sets.stale)}"
        yield "never read", f"{len(sets.never_read)}"
        yield "read, never added", f"{len(sets.unexpected)}"
        yield "stable after, ms", _quantiles(sets.stable_latencies_ns)
        for server, missing in last.missing.items():
            yield f"server {server} lacks", f"{len(missing)}  {missing}"
        if last.unread:
            yield "not read at the end", ", ".join(f"server {server}" for server in last.unread)
        fetches = self.fetches
        yield "fetched and verified", f"{fetches.num_fetched}, {len(fetches.failed)} failed"
        seconds = self.agreement_s
        agreed = "not in time" if seconds is None else f"{seconds:.1f} s after the first final read"
        yield "servers agreed", agreed
        yield "reads", f"{self.num_reads} in {self.duration_s:.0f} s"
        yield "faults", ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        yield "errors", ", ".join(f"{name} {n}" for name, n in sorted(self.errors.items()))

    def to_document(self) -> dict[str, Any]:
        """Return the verdict as a JSON document; times in seconds."""
        sets, last = self.set_full, self.final_reads
        return {
            "verdict": self.validity,
            "attempted": sets.num_attempted,
            "acknowledged": sets.num_acknowledged,
            "stable": sets.num_stable,
            "lost": list(sets.lost),
            "never_read": list(sets.never_read),
            "stale": list(sets.stale),
            "unexpected": len(sets.unexpected),
            "worst_stale": [
                {"element": o.element, "stable_after_s": (o.latency_ns or 0) / 1e9}
                for o in sets.worst_stale
            ],
            "stable_after_s": {str(q): ns / 1e9 for q, ns in sets.stable_latencies_ns.items()},
            "lost_after_s": {str(q): ns / 1e9 for q, ns in sets.lost_latencies_ns.items()},
            "missing_at_end": {str(s): list(missing) for s, missing in last.missing.items()},
            "unread_at_end": list(last.unread),
            "fetched": self.fetches.num_fetched,
            "fetches_failed": list(self.fetches.failed),
            "agreed_after_s": self.agreement_s,
            "duration_s": self.duration_s,
            "reads": self.num_reads,
            "faults": dict(self.faults),
            "errors": dict(self.errors),
        }


def judge(history: History, servers: range, fetches: Fetches, agreement_s: float | None) -> Verdict:
    """Let every checker judge a run."""
    last = history.operations[-1].time_ns if history.operations else 0
    return Verdict(
        set_full.check(history),
        final_reads.check(history, servers),
        fetches,
        agreement_s,
        duration_s=last / 1e9,
        num_reads=len(history.reads()),
        faults=Counter(note.function for note in history.faults() if note.value == ENDED),
        errors=Counter(op.error.partition(":")[0] for op in history.operations if op.error),
    )


def _quantiles(latencies_ns: Mapping[float, int]) -> str:
    return ", ".join(f"{100 * q:g} %: {ns / MS:.0f}" for q, ns in latencies_ns.items())
