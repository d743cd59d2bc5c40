"""An account: a principal, and what it has under way on this server."""

from __future__ import annotations

import sys

from latentcrdt_server.admission import Admission
from latentcrdt_server.ledger import Ledger
from latentcrdt_server.lineage import Lineage
from latentcrdt_server.principals import Principal


class Account:
    """One principal of a running server."""

    def __init__(self, principal: Principal, lineage: Lineage) -> None:
        """``lineage`` may be shared: what it knows is the same for everyone."""
        quota = principal.quota
        self.principal = principal
        self.lineage = lineage
        self.bodies = Admission(
            quota.bodies or sys.maxsize, f"bodies of principal {principal.name!r}"
        )
        """Request bodies being taken in."""
        self.ledger = Ledger(principal.name, quota.bytes, quota.fragments)
