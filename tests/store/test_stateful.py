"""The directory store, opened again at any point, beside a perfect one of Python sets."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import MAX_BYTES, put
from latentcrdt.testing.strategies import states
from tests.store.damaged import damaged

FRAGMENTS = {f.fragment_id: f for f in map(make_fragment, range(8))}
NAMES = [StateName("a"), StateName("b"), StateName("0.-_")]

fragment_ids = st.sampled_from(sorted(FRAGMENTS))
names = st.sampled_from(NAMES)


class DirectoryStoreMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="latentcrdt-"))
        self.store = DirectoryStore(self.path)
        self.held: dict[FragmentId, Fragment] = {}
        self.states: dict[StateName, LatentState] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.path)

    def object_path(self, fragment_id: FragmentId) -> Path:
        return self.path / "obj" / str(fragment_id)[:2] / str(fragment_id)

    @rule(fragment_id=fragment_ids)
    def put(self, fragment_id: FragmentId) -> None:
        assert put(self.store, FRAGMENTS[fragment_id]) == (fragment_id not in self.held)
        self.held[fragment_id] = FRAGMENTS[fragment_id]

    @rule(fragment_id=fragment_ids)
    def abandon(self, fragment_id: FragmentId) -> None:
        with self.store.put(max_bytes=MAX_BYTES) as upload:
            upload.write(FRAGMENTS[fragment_id].to_bytes())
            upload.finish()

    @rule(fragment_id=fragment_ids)
    def remove(self, fragment_id: FragmentId) -> None:
        self.store.remove(fragment_id)
        self.held.pop(fragment_id, None)

    @rule(name=names, delta=states())
    def merge(self, name: StateName, delta: LatentState) -> None:
        self.store.merge(name, delta)
        self.states.setdefault(name, LatentState()).merge(delta)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = DirectoryStore(self.path)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), size=st.integers(0, 300))
    def cut_an_object_short_while_closed(self, data: st.DataObject, size: int) -> None:
        victim = data.draw(st.sampled_from(sorted(self.held)))
        self.store.close()
        with self.object_path(victim).open("r+b") as file:
            file.truncate(size)
        self.store = DirectoryStore(self.path)
        del self.held[victim]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def flip_a_bit_and_scrub(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(sorted(self.held)))
        raw = bytearray(FRAGMENTS[victim].to_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        self.object_path(victim).write_bytes(raw)
        assert [finding.fragment_id for finding in damaged(self.store)] == [victim]
        del self.held[victim]

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert set(self.store.ids()) == set(self.held)
        assert self.store.states() == self.states
        for fragment_id, fragment in FRAGMENTS.items():
            assert self.store.has(fragment_id) == (fragment_id in self.held)
            if fragment_id in self.held:
                assert self.store.get(fragment_id).to_bytes() == fragment.to_bytes()


TestDirectoryStoreMachine = DirectoryStoreMachine.TestCase
TestDirectoryStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None
)
