"""What every store promises, as tests: subclass, say how to open one, and run pytest.

Example::

    class TestMyStore(DurableStoreSuite):
        def open_store(self, path):
            return MyStore(path)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import (
    DigestMismatchError,
    FragmentNotFoundError,
    MalformedError,
    StoreFailedError,
    TooLargeError,
    TruncatedError,
)
from latentcrdt.store.protocol import Store
from latentcrdt.testing.fragments import make_fragment

MAX_BYTES = 1 << 20

NAME = StateName("task-42")
OTHER = StateName("a.b_c-d")
RETRACTED = StateName("0")


def put(store: Store, fragment: Fragment) -> bool:
    """Put a whole fragment; return whether it is new."""
    with store.put(max_bytes=MAX_BYTES) as upload:
        upload.write(fragment.to_bytes())
        return upload.publish()


class StoreSuite:
    """Promises of every store, whether it lasts or not."""

    def open_store(self, path: Path) -> Store:
        """Return a store; one that lasts keeps its data at ``path``."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """Open an empty store, and close it after the test."""
        store = self.open_store(tmp_path / "store")
        yield store
        store.close()

    def test_a_published_fragment_is_found_whole(self, store: Store) -> None:
        """What went in comes out, by every way of asking."""
        fragment = make_fragment(1)
        assert put(store, fragment)
        assert store.has(fragment.fragment_id)
        assert store.get(fragment.fragment_id).to_bytes() == fragment.to_bytes()
        assert store.header(fragment.fragment_id) == fragment.header
        known = store.get(fragment.fragment_id, fragment.header)
        assert known.to_bytes() == fragment.to_bytes()
        assert list(store.ids()) == [fragment.fragment_id]

    def test_missing_names_what_is_not_held_in_the_order_asked(self, store: Store) -> None:
        """Held or not, asked for once or twice."""
        held, one, two = (make_fragment(seed) for seed in (1, 2, 3))
        put(store, held)
        asked = [fragment.fragment_id for fragment in (two, held, one, two)]
        assert store.missing(asked) == [asked[0], asked[2], asked[3]]
        assert store.missing(asked[1:2]) == store.missing([]) == []
        assert store.missing(asked[:1]) == asked[:1]

    def test_any_split_into_pieces_gives_the_same_object(self, store: Store) -> None:
        """The sizes in which bytes arrive leave no trace."""
        for seed, size in enumerate((1, 7, 64, 1000)):
            data = make_fragment(seed).to_bytes()
            with store.put(max_bytes=MAX_BYTES) as upload:
                for start in range(0, len(data), size):
                    upload.write(memoryview(data)[start : start + size])
                fragment = upload.finish()
                upload.publish()
            assert store.get(fragment.fragment_id).to_bytes() == data

    def test_a_finished_fragment_is_private_until_published(self, store: Store) -> None:
        """Whoever admits fragments looks first; leaving the block discards."""
        fragment = make_fragment(2)
        with store.put(max_bytes=MAX_BYTES) as upload:
            upload.write(fragment.to_bytes())
            assert upload.finish().to_bytes() == fragment.to_bytes()
            assert not store.has(fragment.fragment_id)
        assert not store.has(fragment.fragment_id)
        assert list(store.ids()) == []
        with pytest.raises(FragmentNotFoundError):
            store.get(fragment.fragment_id)

    def test_publishing_again_changes_nothing(self, store: Store) -> None:
        """The second push of the same bytes is told so."""
        fragment = make_fragment(3)
        assert [put(store, fragment) for _ in range(3)] == [True, False, False]
        assert list(store.ids()) == [fragment.fragment_id]

    def test_a_fragment_that_is_not_held_is_not_found(self, store: Store) -> None:
        """The error names the id."""
        fragment_id = make_fragment(4).fragment_id
        assert not store.has(fragment_id)
        for ask in (store.get, store.header):
            with pytest.raises(FragmentNotFoundError, match=str(fragment_id)):
                ask(fragment_id)

    @pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 200, -1])
    def test_a_body_cut_short_is_refused_and_leaves_nothing(self, store: Store, cut: int) -> None:
        """Wherever the connection broke."""
        data = make_fragment(5).to_bytes()[:cut]
        with store.put(max_bytes=MAX_BYTES) as upload:
            upload.write(data)
            with pytest.raises(TruncatedError):
                upload.finish()
            with pytest.raises(TruncatedError):
                upload.publish()
        assert list(store.ids()) == []

    def test_a_flipped_bit_is_refused_even_if_the_caller_goes_on(self, store: Store) -> None:
        """An error that is ignored does not become an acknowledgement."""
        data = bytearray(make_fragment(6).to_bytes())
        data[-1] ^= 1
        with store.put(max_bytes=MAX_BYTES) as upload:
            with pytest.raises(DigestMismatchError):
                upload.write(data)
            with pytest.raises(DigestMismatchError):
                upload.publish()
        assert list(store.ids()) == []

    def test_another_fragment_than_the_one_declared_is_refused(self, store: Store) -> None:
        """As soon as the header is known."""
        expected = make_fragment(7).fragment_id
        with (
            store.put(max_bytes=MAX_BYTES, expected_id=expected) as upload,
            pytest.raises(DigestMismatchError),
        ):
            upload.write(make_fragment(8).to_bytes())
        assert list(store.ids()) == []

    def test_a_fragment_over_the_limit_is_refused(self, store: Store) -> None:
        """The limit is in bytes of the whole file."""
        data = make_fragment(9).to_bytes()
        with store.put(max_bytes=len(data)) as upload:
            upload.write(data)
            assert upload.publish()
        with store.put(max_bytes=len(data) - 1) as upload, pytest.raises(TooLargeError):
            upload.write(data)

    def test_bytes_that_are_no_fragment_are_refused(self, store: Store) -> None:
        """From the first byte on."""
        with store.put(max_bytes=MAX_BYTES) as upload, pytest.raises(MalformedError):
            upload.write(b"PK\x03\x04")

    def test_an_error_in_the_block_discards_the_upload(self, store: Store) -> None:
        """The caller's own errors pass through."""

        def abandon() -> None:
            with store.put(max_bytes=MAX_BYTES) as upload:
                upload.write(make_fragment(10).to_bytes())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            abandon()
        assert list(store.ids()) == []

    def test_a_body_outlives_upload_and_store(self, tmp_path: Path) -> None:
        """A response under way must not die with the store."""
        fragment = make_fragment(11)
        store = self.open_store(tmp_path / "store")
        put(store, fragment)
        held = store.get(fragment.fragment_id)
        store.close()
        assert held.to_bytes() == fragment.to_bytes()

    def test_states_hold_what_was_inserted(self, store: Store) -> None:
        """One set of ids a state; declaring one does not change it."""
        a, b, c = (make_fragment(seed).fragment_id for seed in (12, 13, 14))
        store.merge(NAME, LatentState([a]))
        store.merge(NAME, LatentState([b, a]))
        store.merge(OTHER, LatentState([c]))
        store.merge(OTHER, LatentState())
        assert store.states() == {NAME: LatentState([a, b]), OTHER: LatentState([c])}

    def test_states_join_lifetimes_and_stay_retracted(self, store: Store) -> None:
        """The later end counts; nothing comes back into a state that was retracted."""
        a = make_fragment(12).fragment_id
        store.merge(NAME, LatentState([a], expires_at=7))
        store.merge(NAME, LatentState(expires_at=5))
        assert store.states() == {NAME: LatentState([a], expires_at=7)}
        store.merge(NAME, LatentState(retracted=True))
        store.merge(NAME, LatentState([a], expires_at=9))
        assert store.states() == {NAME: LatentState(retracted=True)}

    def test_a_removed_fragment_is_gone_and_can_be_put_again(self, store: Store) -> None:
        """Whoever has it in hand keeps it; removing what is not held is fine."""
        fragment = make_fragment(18)
        put(store, fragment)
        held = store.get(fragment.fragment_id)
        for _ in range(2):
            store.remove(fragment.fragment_id)
            assert not store.has(fragment.fragment_id)
            assert list(store.ids()) == []
        assert held.to_bytes() == fragment.to_bytes()
        assert put(store, fragment)
        assert store.get(fragment.fragment_id).to_bytes() == fragment.to_bytes()

    def test_a_state_can_be_declared_without_members(self, store: Store) -> None:
        """It is then known, and empty."""
        store.merge(NAME, LatentState())
        assert store.states() == {NAME: LatentState()}

    def test_states_are_copies(self, store: Store) -> None:
        """Whoever changes what was returned changes nothing here."""
        store.merge(NAME, LatentState())
        store.states()[NAME].insert(make_fragment(15).fragment_id)
        assert store.states() == {NAME: LatentState()}

    def test_a_closed_store_acknowledges_nothing(self, tmp_path: Path) -> None:
        """Closing twice is fine."""
        store = self.open_store(tmp_path / "store")
        store.close()
        store.close()
        with pytest.raises(StoreFailedError):
            put(store, make_fragment(16))
        with pytest.raises(StoreFailedError):
            store.merge(NAME, LatentState())

    def test_the_same_fragment_from_many_threads_is_stored_once(self, store: Store) -> None:
        """Exactly one of them is told that it is new."""
        fragment = make_fragment(17)
        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(lambda _: put(store, fragment), range(16)))
        assert sorted(created) == [False] * 15 + [True]
        assert store.get(fragment.fragment_id).to_bytes() == fragment.to_bytes()

    def test_many_threads_lose_nothing(self, store: Store) -> None:
        """Puts and inserts of different fragments, all at once."""
        fragments = [make_fragment(seed) for seed in range(40)]

        def add(fragment: Fragment) -> FragmentId:
            put(store, fragment)
            store.merge(NAME, LatentState([fragment.fragment_id]))
            return fragment.fragment_id

        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(add, fragments))
        assert set(store.ids()) == ids
        assert store.states() == {NAME: LatentState(ids)}


class DurableStoreSuite(StoreSuite):
    """Promises of a store that lasts."""

    def test_opening_again_finds_everything(self, tmp_path: Path) -> None:
        """Fragments, memberships and states without members."""
        fragments = {f.fragment_id: f for f in map(make_fragment, range(10))}
        store = self.open_store(tmp_path / "store")
        for fragment_id, fragment in fragments.items():
            put(store, fragment)
            store.merge(NAME, LatentState([fragment_id]))
        store.merge(OTHER, LatentState(expires_at=1))
        store.merge(RETRACTED, LatentState(retracted=True))
        store.close()
        again = self.open_store(tmp_path / "store")
        assert set(again.ids()) == set(fragments)
        for fragment_id, fragment in fragments.items():
            assert again.get(fragment_id).to_bytes() == fragment.to_bytes()
        assert again.states() == {
            NAME: LatentState(fragments),
            OTHER: LatentState(expires_at=1),
            RETRACTED: LatentState(retracted=True),
        }
        again.close()

    def test_memberships_of_many_openings_add_up(self, tmp_path: Path) -> None:
        """However often it was opened, with or without adding anything."""
        ids = [make_fragment(seed).fragment_id for seed in range(12)]
        for fragment_id in ids:
            for additions in ([fragment_id], []):
                store = self.open_store(tmp_path / "store")
                store.merge(NAME, LatentState(additions))
                store.close()
        store = self.open_store(tmp_path / "store")
        assert store.states() == {NAME: LatentState(ids)}
        store.close()
