"""Replica: one holder of states over a store. Whatever it acknowledges is durable first."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import partial

from latentcrdt.core.compatibility import select_class
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.placement import canonical_order, place_members
from latentcrdt.core.plan import LayerRange, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import (
    ClassNotFoundError,
    FragmentNotFoundError,
    NothingToRenderError,
    StateNotFoundError,
    StateRetractedError,
)
from latentcrdt.render import stream
from latentcrdt.replication.bounded_cache import BoundedCache
from latentcrdt.replication.fragments import HeldFragments
from latentcrdt.replication.prefix_chain import not_whole, prefix_chain
from latentcrdt.replication.push import Push, PushResult
from latentcrdt.replication.space import Space
from latentcrdt.replication.states import StateOverview, States
from latentcrdt.store.protocol import Store

MAX_FRAGMENT_BYTES = 4 << 30
"""A fragment file may be this long: ten thousand tokens of a model of 70 billion parameters."""

DIGEST_CACHE = 1 << 17
"""Digests of rotated keys kept, about 300 bytes each: a receipt has one a layer and fragment."""

DEFAULT_QUERY = RenderQuery()


class Replica:
    """States over a store: admission, listing, planning, rendering.

    Every method may be called from any thread. States are read from the store on opening, and what
    other processes merge into a shared one when `refresh` is called.
    """

    def __init__(self, store: Store, *, max_fragment_bytes: int = MAX_FRAGMENT_BYTES) -> None:
        """Take over ``store``, and load every state that it knows."""
        self._store = store
        self._max_fragment_bytes = max_fragment_bytes
        self._states = States(store)
        self.fragments = HeldFragments(store)
        """Those of all states."""
        self._space = Space(store, self._states, self.fragments.prefix_of)
        self._digests: BoundedCache[tuple[FragmentId, int, int, int], Digest] = BoundedCache(
            DIGEST_CACHE
        )

    def begin_push(self, state: StateName, *, expected_id: FragmentId | None = None) -> Push:
        """Return a push to be used as a context manager: ``write`` as bytes come, ``commit``."""
        self._states.refuse_retracted(state)
        upload = self._store.put(max_bytes=self._max_fragment_bytes, expected_id=expected_id)
        return Push(upload, self._space, self.fragments.note, partial(self._insert, state))

    def begin_hold(self, fragment_id: FragmentId) -> Push:
        """Return a push of a fragment that others stand behind, into no state."""
        upload = self._store.put(max_bytes=self._max_fragment_bytes, expected_id=fragment_id)
        return Push(upload, self._space, self.fragments.note, lambda _: False)

    def push(self, state: StateName, fragment: Fragment | Iterable[Buffer]) -> PushResult:
        """Push a whole fragment, or the pieces of a fragment file."""
        pieces: Iterable[Buffer] = (
            (fragment.framing, fragment.body) if isinstance(fragment, Fragment) else fragment
        )
        with self.begin_push(state) as push:
            for piece in pieces:
                push.write(piece)
            return push.commit()

    def insert(self, state: StateName, fragment_id: FragmentId) -> bool:
        """Make a fragment that is held a member of a state; return whether the state grew.

        Raises FragmentNotFoundError when the fragment is not held, StateRetractedError.
        """
        self._states.refuse_retracted(state)
        with self._space.keep(fragment_id):
            if not self._store.has(fragment_id):
                raise FragmentNotFoundError(
                    f"fragment {fragment_id}: expected one that is held, to add to state {state!r}",
                    id=str(fragment_id),
                    state=state,
                )
            return self._insert(state, fragment_id)

    def declare(self, state: StateName, *, expires_at: int | None = None) -> bool:
        """Make a state exist, or last until ``expires_at`` (Unix seconds); whether that was new.

        Of several ends the latest counts. Raises StateRetractedError.
        """
        grew = self._states.merge(state, LatentState(expires_at=expires_at))
        self._states.refuse_retracted(state)
        return grew

    def retract(self, state: StateName) -> bool:
        """End a state for good, and give back the space of what no other state holds.

        Replicas that hear of it do the same. Returns whether it was not retracted yet.
        """
        return self.merge(state, LatentState(retracted=True))

    def merge(self, name: StateName, delta: LatentState) -> bool:
        """Merge what another replica says of a state; return whether the state grew.

        The fragments of ``delta`` must be held already. A delta that retracts frees their space.
        """
        released = self._members(name) if delta.is_retracted else ()
        grew = self._states.merge(name, delta)
        if grew and released:
            self._space.reclaim(released)
        return grew

    def expire(self, now: float) -> list[StateName]:
        """Retract the states whose lifetime has ended, and return them; ``now``: Unix seconds."""
        return [name for name in self._states.expired(now) if self.retract(name)]

    def pages(self, after: Cursor | None) -> Iterator[FeedPage]:
        """Yield what was learned since a cursor, or from the beginning, to the end."""
        while True:
            page = self.changes(after)
            yield page
            if page.is_last:
                return
            after = page.cursor

    def refresh(self) -> None:
        """Take over what other processes merged into the same store."""
        self._states.refresh()

    def states(self) -> list[StateName]:
        """Return the names of the states that live, sorted."""
        return self._states.names()

    def state(self, name: StateName) -> LatentState:
        """Return a copy of a state as it is now.

        Raises StateNotFoundError if there is none, StateRetractedError.
        """
        return self._states.get(name)

    def roots(self) -> Roots:
        """Return the roots of all states, for another replica to compare with its own."""
        return self._states.roots()

    def changes(self, after: Cursor | None = None) -> FeedPage:
        """Return a page of what was learned since a cursor, or from the beginning.

        Raises CursorExpiredError for a cursor of an earlier opening.
        """
        return self._states.changes(after)

    def overview(self) -> dict[StateName, StateOverview]:
        """Return root and size of every state that lives, by name."""
        return self._states.overview()

    def unheld(self) -> list[tuple[StateName, FragmentId]]:
        """Return the members that are not held whole: lost, or quarantined as damaged.

        Neither is one that stands behind a fragment that is not held.
        """
        members = {name: self._members(name) for name in self._states.names()}
        lost = not_whole(
            {i for ids in members.values() for i in ids}, self.missing, self.fragments.prefix_of
        )
        return [(name, i) for name, ids in members.items() for i in ids if i in lost]

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held, in the order given."""
        return self._store.missing(ids)

    def plan(self, name: StateName, query: RenderQuery = DEFAULT_QUERY) -> RenderPlan:
        """Return the plan of the render that the query asks for.

        Raises StateNotFoundError, FragmentNotFoundError (an id in ``order`` is no member),
        AmbiguousClassError, ClassNotFoundError, NothingToRenderError, PrefixMissingError,
        IncompatibleFragmentsError, or InvalidRequestError for a stride or layers that do not fit.
        A replica lays fragments side by side; it merges none.
        """
        assert query.merge is None
        if query.order is None:
            members = select_class(self.fragments.summaries(self.state(name)), query.class_id)
            order = canonical_order((self.fragments.sort_key(i), i) for i in members)
            placed = [members[i] for i in order]
        else:
            placed = self._members_in_order(name, query.order)
        if not placed:
            raise NothingToRenderError("expected at least one fragment to render, got none")
        first = self.fragments.header(placed[0].fragment_id)
        layers = None
        if query.layers is not None:
            layers = LayerRange.parse(query.layers, len(first.geometry.layers))
        plan = place_members(
            first.geometry,
            placed,
            prefix_chain(first, self.fragments.header),
            layout=query.layout,
            stride=query.stride,
            layers=layers,
        )
        if query.class_id not in (None, plan.class_id):
            raise ClassNotFoundError(
                f"expected an order of fragments of class {query.class_id}, got {plan.class_id}",
                id=str(query.class_id),
                classes=[str(plan.class_id)],
            )
        return plan

    def fragments_of(self, plan: RenderPlan) -> dict[FragmentId, Fragment]:
        """Return every fragment that a plan draws on, prefixes included."""
        placed = (*plan.prefixes, *plan.placements)
        return {p.fragment_id: self.fragments.get(p.fragment_id) for p in placed}

    def render_chunks(
        self, plan: RenderPlan, *, start: int = 0, stop: int | None = None
    ) -> Generator[memoryview]:
        """Yield the bytes ``start`` to ``stop`` of a render stream, in bounded memory.

        The fragments are opened at once, so what can be missing is missed before the first byte.
        A view is valid until the next one is asked for. Turned keys are digested on their way, so
        that the receipt, which a careful reader asks for next, costs no second rotation.
        """
        fragments = self.fragments_of(plan)
        return stream.render_chunks(plan, fragments, start=start, stop=stop, known=self._digests)

    def receipt(self, plan: RenderPlan) -> Receipt:
        """Return the receipt of a plan; digests of rotated keys are memoised."""
        return Receipt(
            plan,
            tuple(self.fragments.sort_key(p.fragment_id) for p in plan.placements),
            tuple(stream.run_digests(plan, self.fragments_of(plan), known=self._digests)),
        )

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _insert(self, name: StateName, fragment_id: FragmentId) -> bool:
        """Make a durable fragment a member."""
        grew = self._states.merge(name, LatentState([fragment_id]))
        self._states.refuse_retracted(name)  # it may have been, since the fragment began to arrive
        return grew

    def _members(self, name: StateName) -> tuple[FragmentId, ...]:
        """Return the members of a state; none of one that is unknown or retracted."""
        try:
            return self._states.get(name).ids
        except (StateNotFoundError, StateRetractedError):
            return ()

    def _members_in_order(self, name: StateName, order: tuple[FragmentId, ...]) -> list[Summary]:
        state = self.state(name)
        for fragment_id in order:
            if not state.contains(fragment_id):
                raise FragmentNotFoundError(
                    f"fragment {fragment_id}: expected a member of state {name!r} in the order",
                    id=str(fragment_id),
                    state=name,
                )
        return [self.fragments.summary(fragment_id) for fragment_id in order]
