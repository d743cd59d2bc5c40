"""Whoever asks, and what that lets them see and do on this server.

Rule: what a caller may not see answers as what is not there: the same code, the same words, found
out before anything is looked up. And nobody comes by a fragment that they could not read by naming
its id: to make it a member, or to add one that was captured behind it, they must be able to read
it, or find it in that state already, or send its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import (
    ForbiddenError,
    FragmentNotFoundError,
    PrefixMissingError,
    StateNotFoundError,
    StateRetractedError,
)
from latentcrdt.replication.replica import Replica
from latentcrdt.store.protocol import Store
from latentcrdt_server.account import Account
from latentcrdt_server.grants import Scope
from latentcrdt_server.ledger import Holdings


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of one request."""

    account: Account | None
    """None: the server has no token file, and everyone may do everything."""
    replica: Replica
    store: Store

    def check(self, scope: Scope, state: StateName) -> None:
        """Raise ForbiddenError unless the caller may do this to the state.

        Raises StateNotFoundError when no grant is about a state of this name.
        """
        if self.account is None or self.account.principal.may(scope, state):
            return
        if self.account.principal.knows(state):
            raise ForbiddenError(
                f"state {state!r}: expected a token with scope {str(scope)!r} on it, got that of "
                f"principal {self.account.principal.name!r}",
                state=state,
                scope=str(scope),
            )
        raise StateNotFoundError(f"state {state!r}: never declared or added to", state=state)

    def check_somewhere(self, scope: Scope) -> None:
        """Raise ForbiddenError unless the caller may do this to some state, there or not."""
        if self.account is not None and not self.account.principal.may_somewhere(scope):
            raise ForbiddenError(
                f"expected a token with scope {str(scope)!r} on some state, got that of principal "
                f"{self.account.principal.name!r}",
                scope=str(scope),
            )

    def check_everywhere(self, scope: Scope) -> None:
        """Raise ForbiddenError unless the caller may do this to every state."""
        if self.account is not None and not self.account.principal.may_everywhere(scope):
            raise ForbiddenError(
                f"expected a token with scope {str(scope)!r} on all states, '*', got that of "
                f"principal {self.account.principal.name!r}",
                scope=str(scope),
            )

    def states(self, scope: Scope) -> list[StateName]:
        """Return the names of all states to which the caller may do this, sorted."""
        names = self.replica.states()
        if self.account is None:
            return names
        return [name for name in names if self.account.principal.may(scope, name)]

    def check_readable(self, fragment_id: FragmentId) -> None:
        """Raise FragmentNotFoundError unless the caller may read the fragment, if it is held."""
        if self.account is None:
            return
        if not self._is_within(self.states(Scope.READ), self.account, fragment_id):
            raise FragmentNotFoundError(
                f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
            )

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held where the caller may read or add."""
        ids = list(ids)
        lacking = self.replica.missing(ids)
        if self.account is None:
            return lacking
        readable = self._members(self.states(Scope.READ))
        known = readable | self._members(self.states(Scope.ADD))
        known |= self.account.lineage.prefixes(readable, self.store.header)
        known -= set(lacking)
        return [fragment_id for fragment_id in ids if fragment_id not in known]

    def insert(self, state: StateName, fragment_id: FragmentId) -> bool:
        """Make a fragment that is held a member of a state; return whether the state grew.

        Raises FragmentNotFoundError when the caller has no claim on it; QuotaExceededError or
        BusyError.
        """
        if self.account is None:
            return self.replica.insert(state, fragment_id)
        if not self._has_claim(self.account, fragment_id, state):
            raise FragmentNotFoundError(
                f"fragment {fragment_id}: expected one that is held, to add to state {state!r}",
                id=str(fragment_id),
                state=state,
            )
        with self.reserve(self.store.header(fragment_id)):
            return self.replica.insert(state, fragment_id)

    def check_prefix(self, header: FragmentHeader, state: StateName) -> None:
        """Raise PrefixMissingError when the caller has no claim on what a new member is behind.

        Whoever reads the state will be given its prefixes, too.
        """
        if self.account is None or header.prefix is None:
            return
        if not self._has_claim(self.account, header.prefix, state):
            raise PrefixMissingError(
                f"fragment {header.fragment_id}: captured behind prefix {header.prefix}, which is "
                f"not held here; push it first",
                id=str(header.fragment_id),
                prefix=str(header.prefix),
            )

    def reserve(self, header: FragmentHeader) -> AbstractContextManager[None]:
        """Hold room in the caller's quota for a fragment while it becomes a member.

        Entering raises QuotaExceededError or BusyError.
        """
        if self.account is None:
            return nullcontext()
        holdings = Holdings(lambda: self._members(self.states(Scope.ADD)), self.store.header)
        return self.account.ledger.reserve(header, holdings)

    def admit_body(self) -> AbstractContextManager[None]:
        """Count a request body as under way for the duration of the block, or raise BusyError."""
        return nullcontext() if self.account is None else self.account.bodies.admit(1)

    def _has_claim(self, account: Account, fragment_id: FragmentId, state: StateName) -> bool:
        return self._is_within([state, *self.states(Scope.READ)], account, fragment_id)

    def _is_within(
        self, names: Iterable[StateName], account: Account, fragment_id: FragmentId
    ) -> bool:
        """Return whether a fragment is a member of these states, or what a member is behind."""
        members = self._members(names)
        return fragment_id in members or fragment_id in account.lineage.prefixes(
            members, self.store.header
        )

    def _members(self, names: Iterable[StateName]) -> set[FragmentId]:
        found: set[FragmentId] = set()
        for name in names:
            with suppress(StateNotFoundError, StateRetractedError):  # since it was listed
                found.update(self.replica.state(name))
        return found
