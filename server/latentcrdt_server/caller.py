"""Whoever asks, and what that lets them see and do on this server.

Rule: what a caller may not see answers as what is not there: the same code, the same words, found
out before anything is looked up. And nobody comes by a fragment that they could not read by naming
its id: to make it a member, or to add one that was captured behind it, they must be able to read
it, or find it in that state already, or send its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import (
    ForbiddenError,
    FragmentNotFoundError,
    PrefixMissingError,
    StateNotFoundError,
)
from latentcrdt.replication.replica import Replica
from latentcrdt.store.protocol import Store
from latentcrdt_server.account import Account
from latentcrdt_server.grants import Scope


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
        if self.account is not None and not self._is_readable(self.account, fragment_id):
            raise FragmentNotFoundError(
                f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
            )

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held where the caller may read or add."""
        ids = list(ids)
        held = set(ids) - set(self.replica.missing(ids))
        account = self.account
        if account is None:
            return [fragment_id for fragment_id in ids if fragment_id not in held]
        known = {
            fragment_id
            for fragment_id in held
            if self._is_readable(account, fragment_id)
            or account.roster.is_member(
                fragment_id, self.replica, partial(account.principal.may, Scope.ADD)
            )
        }
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

        Whoever reads the state will be given its prefixes, too. A caller who may read everything
        gains nothing by that, and another replica may bring a member before its prefix.
        """
        if self.account is None or header.prefix is None:
            return
        if self.account.principal.may_everywhere(Scope.READ):
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
        return self.account.ledger.reserve(header, self.replica)

    def admit_body(self) -> AbstractContextManager[None]:
        """Count a request body as under way for the duration of the block, or raise BusyError."""
        return nullcontext() if self.account is None else self.account.bodies.admit(1)

    def _has_claim(self, account: Account, fragment_id: FragmentId, state: StateName) -> bool:
        def counts(name: StateName) -> bool:
            return name == state or account.principal.may(Scope.READ, name)

        return account.roster.is_within(fragment_id, self.replica, counts)

    def _is_readable(self, account: Account, fragment_id: FragmentId) -> bool:
        readable = partial(account.principal.may, Scope.READ)
        return account.roster.is_within(fragment_id, self.replica, readable)
