"""What became of a check: kept, broken and how, or skipped and why."""

from __future__ import annotations

from dataclasses import dataclass
from unittest import SkipTest

from latentcrdt.errors import LatentCRDTError
from latentcrdt.testing.conformance.check import Check
from latentcrdt.testing.conformance.server import Server


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check on one server."""

    check: Check
    violation: str | None = None
    """How the server broke the promise; None: it did not."""
    skipped: str | None = None
    """Why the promise is none of the server's; None: it is."""
    notes: tuple[str, ...] = ()
    """The smallest counterexample found, where examples were drawn."""

    @property
    def passed(self) -> bool:
        """Whether the promise was kept."""
        return self.violation is None and self.skipped is None


def judge(check: Check, server: Server) -> Outcome:
    """Return what becomes of a check; only what is a bug of the check itself is raised."""
    try:
        check(server)
    except (AssertionError, LatentCRDTError) as error:
        return Outcome(check, str(error), notes=tuple(getattr(error, "__notes__", ())))
    except SkipTest as skip:
        return Outcome(check, skipped=str(skip))
    return Outcome(check)
