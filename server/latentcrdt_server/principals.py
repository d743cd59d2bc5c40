"""Principals: who may ask, for what, and how much of it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from latentcrdt.core.ids import StateName
from latentcrdt_server.grants import Grant, Scope

Limit: TypeAlias = Annotated[int, Field(strict=True, gt=0)]


class Quota(BaseModel):
    """What a principal may use; None: as much as there is.

    Bytes and fragments are those that the states hold which the principal may add to, each fragment
    once, whoever added it. So the count follows from the store, survives restarts, replication and
    retraction, and cannot drift; what two principals may both add to counts for both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Limit | None = None
    """Of whole fragment files."""
    fragments: Limit | None = None
    bodies: Limit | None = None
    """Request bodies being taken in at once; one more has to come again (429)."""


class Principal(BaseModel):
    """One entry of the token file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """For messages and for whoever reads the file."""
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """BLAKE3 of the token: whoever reads the file cannot ask in its name."""
    grants: tuple[Grant, ...] = Field(min_length=1)
    quota: Quota = Quota()

    def may(self, scope: Scope, state: StateName) -> bool:
        """Return whether some grant allows ``scope`` on a state of this name."""
        return any(grant.has(scope) and grant.covers(state) for grant in self.grants)

    def may_somewhere(self, scope: Scope) -> bool:
        """Return whether some grant allows ``scope`` on any state."""
        return any(grant.has(scope) for grant in self.grants)

    def may_everywhere(self, scope: Scope) -> bool:
        """Return whether some grant allows ``scope`` on all states, whatever their names."""
        return any(grant.has(scope) and "*" in grant.states for grant in self.grants)

    def knows(self, state: StateName) -> bool:
        """Return whether any grant is about a state of this name."""
        return any(grant.covers(state) for grant in self.grants)
