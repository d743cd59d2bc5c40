"""Grants: which scopes a principal has on which states.

Rule: what is allowed follows from the grants and the name of a state alone, before anything is
looked up. A refusal then says the same, in the same time, whatever is stored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from latentcrdt.core.ids import StateName

Pattern: TypeAlias = Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9._-]{0,62}\*?)$")]
"""The name of a state, or the beginning of names and then ``*``."""


class Scope(StrEnum):
    """One thing that a grant allows."""

    READ = "read"
    """List, plan, render, and fetch what is a member, or what a member was captured behind."""
    ADD = "add"
    """Declare a state and make fragments members of it."""
    SYNC = "sync"
    """Exchange a state with another replica: read, add and retract, as that replica did."""
    ADMIN = "admin"
    """Retract. Nothing else: a job that clears up has no need to read."""


class Grant(BaseModel):
    """Some scopes on some states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    states: tuple[Pattern, ...] = Field(min_length=1)
    scopes: frozenset[Scope] = Field(min_length=1)

    def covers(self, state: StateName) -> bool:
        """Return whether this grant is about a state of this name."""
        return any(_matches(pattern, state) for pattern in self.states)

    def has(self, scope: Scope) -> bool:
        """Return whether this grant allows ``scope``, by name or because ``sync`` includes it."""
        return scope in self.scopes or Scope.SYNC in self.scopes


def _matches(pattern: str, state: StateName) -> bool:
    if pattern.endswith("*"):
        return state.startswith(pattern.removesuffix("*"))
    return state == pattern
