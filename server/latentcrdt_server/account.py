"""An account: a principal, and what it has under way on this server."""

from __future__ import annotations

import sys

from latentcrdt_server.admission import Admission
from latentcrdt_server.ledger import Ledger
from latentcrdt_server.principals import Principal
from latentcrdt_server.roster import Roster


class Account:
    """One principal of a running server."""

    def __init__(self, principal: Principal, roster: Roster) -> None:
        """``roster`` is shared: what it knows is the same for everyone."""
        quota = principal.quota
        self.principal = principal
        self.roster = roster
        self.bodies = Admission(
            quota.bodies or sys.maxsize, f"bodies of principal {principal.name!r}"
        )
        """Request bodies being taken in."""
        self.ledger = Ledger(principal, roster)
