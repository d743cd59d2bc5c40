"""One line of the report: a fault, how often it was tried, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """Counts of one fault in one place."""

    fault: str
    where: str
    points: int = 0
    """Times that the fault was made to happen."""
    acknowledged: int = 0
    """Answers given before, during and after it, every one of which was asked for again."""
    broken: list[str] = field(default_factory=list)
    """Promises not kept."""
    note: str = ""
    missing: str = ""
    """Why it did not run here; empty when it did."""

    is_control: bool = False
    """Whether a bug is planted, so that promises have to break: the way of looking must see it."""

    @property
    def result(self) -> str:
        """``passed``, ``FAILED`` or ``did not run``."""
        if self.missing:
            return "did not run"
        return "passed" if bool(self.broken) is self.is_control else "FAILED"
