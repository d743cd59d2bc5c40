"""A disk that loses a bit: no wrong render under the right name, and a push heals it."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

STATE = StateName("s")
# So long that opening the store, which reads heads, does not come upon the damage.
PAIR = [make_fragment(seed, start=50 * seed, seq_len=3000) for seed in (1, 2)]


@pytest.fixture
def damaged(tmp_path: Path) -> Replica:
    """A replica opened on a store in which one bit of a key that will be turned has flipped."""
    before = Replica(DirectoryStore(tmp_path))
    for fragment in PAIR:
        before.push(STATE, fragment)
    before.close()
    moved = PAIR[1]
    path = tmp_path / "obj" / str(moved.fragment_id)[:2] / str(moved.fragment_id)
    data = bytearray(path.read_bytes())
    data[len(moved.framing) + moved.header.keys_section(2).offset + 1] ^= 0x04
    path.write_bytes(data)
    return Replica(DirectoryStore(tmp_path))


def test_damaged_keys_are_not_rendered(damaged: Replica) -> None:
    with pytest.raises(CorruptFragmentError):
        list(damaged.render_chunks(damaged.plan(STATE)))


def test_damaged_keys_get_no_sort_key_and_no_receipt(damaged: Replica) -> None:
    with pytest.raises(CorruptFragmentError):
        damaged.fragments.sort_key(PAIR[1].fragment_id)
    with pytest.raises(FragmentNotFoundError):  # quarantined meanwhile: it is missed, not served
        damaged.plan(STATE)


def test_a_fragment_that_is_gone_is_missed_though_its_header_is_remembered() -> None:
    store = MemoryStore()
    replica = Replica(store)
    fragment = make_fragment(1)
    replica.push(STATE, fragment)
    list(replica.render_chunks(replica.plan(STATE)))
    store.remove(fragment.fragment_id)
    for ask in (replica.fragments.summary, replica.fragments.get, replica.fragments.sort_key):
        with pytest.raises(FragmentNotFoundError):
            ask(fragment.fragment_id)
    with pytest.raises(FragmentNotFoundError):
        replica.plan(STATE)
    assert store.summary(fragment.fragment_id) is None


def test_a_push_heals_what_was_damaged(damaged: Replica) -> None:
    with pytest.raises(CorruptFragmentError):
        damaged.fragments.get(PAIR[1].fragment_id)
    assert damaged.missing([PAIR[1].fragment_id]) == [PAIR[1].fragment_id]
    damaged.push(STATE, PAIR[1])
    receipt = damaged.receipt(damaged.plan(STATE))
    whole = b"".join(bytes(c) for c in damaged.render_chunks(receipt.plan))
    assert len(whole) == len(receipt.plan.framing) + receipt.plan.body_bytes
