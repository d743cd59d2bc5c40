"""What the demo found out: the claims it checked and everything they were checked on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from latentcrdt.cli.demo.narrator import Narrator


@dataclass
class Report:
    """Filled while the demo runs."""

    narrator: Narrator
    claims: dict[str, bool] = field(default_factory=dict)
    """Name of each claim, and whether it held."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Ids, digests and answers, as JSON would have them."""

    def check(self, name: str, claim: str, holds: bool) -> None:
        """Record a claim, and tell it."""
        self.claims[name] = holds
        self.narrator.check(claim, holds)

    @property
    def holds(self) -> bool:
        """Whether every claim held."""
        return all(self.claims.values())

    def document(self) -> dict[str, Any]:
        """Return everything, for ``--json``."""
        seconds = {title: round(value, 3) for title, value in self.narrator.seconds.items()}
        return {"ok": self.holds, "claims": self.claims, **self.facts, "seconds": seconds}
