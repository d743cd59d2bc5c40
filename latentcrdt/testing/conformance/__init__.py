"""What every server of the HTTP API promises, as checks that ask a running one.

``latentcrdt conformance URL`` runs them all; in a test suite they are parameters::

    @pytest.mark.parametrize("check", checks, ids=str)
    def test_conformance(check, server_url):
        with Server(server_url) as server:
            check(server)
"""

from __future__ import annotations

from latentcrdt.testing.conformance.check import Check, Group
from latentcrdt.testing.conformance.concurrency import concurrency
from latentcrdt.testing.conformance.conditions import conditions
from latentcrdt.testing.conformance.damage import damage
from latentcrdt.testing.conformance.duplicates import duplicates
from latentcrdt.testing.conformance.laws import laws
from latentcrdt.testing.conformance.limits import limits
from latentcrdt.testing.conformance.merges import merges
from latentcrdt.testing.conformance.names import names
from latentcrdt.testing.conformance.negotiation import negotiation
from latentcrdt.testing.conformance.outcome import Outcome, judge
from latentcrdt.testing.conformance.ranges import ranges
from latentcrdt.testing.conformance.refusals import refusals
from latentcrdt.testing.conformance.renders import renders
from latentcrdt.testing.conformance.replication import replication
from latentcrdt.testing.conformance.retraction import retraction
from latentcrdt.testing.conformance.server import Server

groups: tuple[Group, ...] = (
    laws,
    renders,
    merges,
    duplicates,
    concurrency,
    damage,
    refusals,
    ranges,
    conditions,
    negotiation,
    limits,
    names,
    replication,
    retraction,
)

checks: tuple[Check, ...] = tuple(check for group in groups for check in group)
"""Every check, in the order in which they are run."""

__all__ = ["Check", "Group", "Outcome", "Server", "checks", "groups", "judge"]
