from __future__ import annotations

from latentcrdt.store.protocol import Store
from latentcrdt.store.scrub import Finding, scrub


def damaged(store: Store) -> list[Finding]:
    """Scrub, and return what was damaged."""
    return [finding for finding in scrub(store) if finding.problem is not None]
