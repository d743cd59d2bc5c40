"""Stores over one bucket, opened, failing and closed at any point, beside Python's own sets."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.object_store import compaction
from latentcrdt.store.object_store.store import ObjectStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import put
from tests.object_store.dict_bucket import AtCall, DictBucket, Handle, fail

FRAGMENTS = {f.fragment_id: f for f in map(make_fragment, range(5))}
NAMES = [StateName("a"), StateName("b")]
NUM_STORES = 3

fragment_ids = st.sampled_from(sorted(FRAGMENTS))
names = st.sampled_from(NAMES)
stores = st.integers(0, NUM_STORES - 1)


def may_fail(act):
    """Let a rule end where the service fails it, as a request does."""

    @functools.wraps(act)
    def attempt(*args, **drawn) -> None:
        with contextlib.suppress(StoreFailedError):
            act(*args, **drawn)

    return attempt


class SharedBucketMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.eager = mock.patch.object(compaction, "MAX_SEGMENTS", 2)
        self.eager.start()
        self.cache = Path(tempfile.mkdtemp(prefix="latentcrdt-"))
        self.bucket = DictBucket()
        self.handles = [Handle(self.bucket) for _ in range(NUM_STORES)]
        self.stores = [self.open_store(handle) for handle in self.handles]
        self.acknowledged: dict[StateName, LatentState] = {}
        self.seen: list[dict[StateName, LatentState]] = [{} for _ in range(NUM_STORES)]
        """What each has returned so far: of its own, and of others."""
        self.attempted: dict[StateName, LatentState] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.cache)
        self.eager.stop()

    def open_store(self, handle: Handle) -> ObjectStore:
        return ObjectStore(handle, self.cache, clock=self.bucket.clock)

    @rule(n=stores, name=names, fragment_id=fragment_ids)
    @may_fail
    def push(self, n: int, name: StateName, fragment_id: FragmentId) -> None:
        put(self.stores[n], FRAGMENTS[fragment_id])
        self.merge(n, name, LatentState([fragment_id]))

    @rule(n=stores, name=names, fragment_id=fragment_ids)
    @may_fail
    def insert(self, n: int, name: StateName, fragment_id: FragmentId) -> None:
        if self.stores[n].has(fragment_id):
            self.merge(n, name, LatentState([fragment_id]))

    @rule(n=stores, name=names, end=st.none() | st.integers(0, 5))
    @may_fail
    def declare(self, n: int, name: StateName, end: int | None) -> None:
        self.merge(n, name, LatentState(expires_at=end))

    @rule(n=stores, name=names)
    @may_fail
    def retract(self, n: int, name: StateName) -> None:
        """Do as a replica does: remove what, as far as it knows, is no one's any more."""
        released = self.stores[n].states().get(name, LatentState())
        self.merge(n, name, LatentState(retracted=True))
        states = self.stores[n].states().values()
        for fragment_id in released:
            if not any(fragment_id in state for state in states):
                self.stores[n].remove(fragment_id)

    @rule(n=stores)
    @may_fail
    def refresh(self, n: int) -> None:
        self.refresh_one(n)

    @rule(n=stores, number=st.integers(0, 12), late=st.booleans())
    def let_a_call_fail(self, n: int, number: int, late: bool) -> None:
        setattr(self.handles[n], "after" if late else "before", AtCall(number, fail))

    @rule(n=stores)
    def open_again(self, n: int) -> None:
        self.handles[n] = Handle(self.bucket)
        self.stores[n].close()
        self.stores[n] = self.open_store(self.handles[n])
        self.seen[n] = self.stores[n].states()

    @rule()
    def all_refresh_and_agree(self) -> None:
        for _ in range(2):  # what failed for one is written when it looks
            self.refresh_all()
        fresh = self.open_store(Handle(self.bucket))
        assert all(store.states() == fresh.states() for store in self.stores)
        fresh.close()

    @rule(seconds=st.sampled_from([1, 20, 100, 4000]))
    def wait(self, seconds: int) -> None:
        """Everyone refreshes within a second, and so long before an hour is over."""
        if seconds > 100:
            self.refresh_all()
        self.bucket.clock.now += seconds

    @invariant()
    def keeps_what_was_acknowledged(self) -> None:
        fresh = self.open_store(Handle(self.bucket))
        found = fresh.states()
        for name, state in self.acknowledged.items():
            assert state <= found[name]
        for name, state in found.items():
            assert state <= self.attempted[name]
            for fragment_id in state:
                held = fresh.get(fragment_id)
                assert held.to_bytes() == FRAGMENTS[fragment_id].to_bytes()
        fresh.close()

    def merge(self, n: int, name: StateName, delta: LatentState) -> None:
        self.attempted.setdefault(name, LatentState()).merge(delta)
        try:
            self.stores[n].merge(name, delta)
        except StoreFailedError:
            return
        self.acknowledged.setdefault(name, LatentState()).merge(delta)
        self.seen[n].setdefault(name, LatentState()).merge(delta)

    def refresh_one(self, n: int) -> None:
        """Refresh, and see that what it returns is what has changed."""
        for name, delta in self.stores[n].refresh().items():
            self.seen[n].setdefault(name, LatentState()).merge(delta)
        assert self.stores[n].states() == self.seen[n]

    def refresh_all(self) -> None:
        for n, handle in enumerate(self.handles):
            handle.before = handle.after = lambda _: None
            self.refresh_one(n)


TestSharedBucketMachine = SharedBucketMachine.TestCase
TestSharedBucketMachine.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
