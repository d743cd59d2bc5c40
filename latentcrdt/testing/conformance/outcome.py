"""What became of a check: kept, or broken and how."""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.errors import LatentCRDTError
from latentcrdt.testing.conformance.check import Check
from latentcrdt.testing.conformance.server import Server


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check on one server."""

    check: Check
    violation: str | None = None
    """How the server broke the promise; None: it did not."""
    notes: tuple[str, ...] = ()
    """The smallest counterexample found, where examples were drawn."""

    @property
    def passed(self) -> bool:
        """Whether the promise was kept."""
        return self.violation is None


def judge(check: Check, server: Server) -> Outcome:
    """Return what becomes of a check; only what is a bug of the check itself is raised."""
    try:
        check(server)
    except (AssertionError, LatentCRDTError) as error:
        return Outcome(check, str(error), tuple(getattr(error, "__notes__", ())))
    return Outcome(check)
