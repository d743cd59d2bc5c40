"""A cache on disk: bounded, shared, and never believed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.testing.fragments import make_fragment

POOL = [make_fragment(seed) for seed in range(6)]
SIZE = POOL[0].num_bytes


def test_what_was_put_is_found_by_another_process_of_the_machine(tmp_path):
    FragmentCache(tmp_path).put(POOL[0])
    found = FragmentCache(tmp_path).get(POOL[0].fragment_id)
    assert found is not None
    assert found.to_bytes() == POOL[0].to_bytes()
    assert FragmentCache(tmp_path).get(POOL[1].fragment_id) is None


def test_the_ones_not_used_for_longest_go_first(tmp_path):
    cache = FragmentCache(tmp_path, max_bytes=3 * SIZE)
    for age, fragment in enumerate(POOL[:3]):
        cache.put(fragment)
        os.utime(tmp_path / str(fragment.fragment_id), (1000 + age, 1000 + age))
    cache.get(POOL[0].fragment_id)
    cache.put(POOL[3])
    held = [f for f in POOL if (tmp_path / str(f.fragment_id)).exists()]
    assert held == [POOL[0], POOL[2], POOL[3]]


def test_what_a_killed_process_left_half_written_goes_in_the_end(tmp_path):
    old, new = tmp_path / ".old.part", tmp_path / ".new.part"
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    FragmentCache(tmp_path).put(POOL[0])
    assert not old.exists()
    assert new.exists()


def test_a_fragment_larger_than_all_the_room_is_not_kept(tmp_path):
    cache = FragmentCache(tmp_path, max_bytes=SIZE - 1)
    cache.put(POOL[0])
    assert list(tmp_path.iterdir()) == []


def test_another_fragment_under_this_name_is_not_returned(tmp_path):
    cache = FragmentCache(tmp_path)
    cache.put(POOL[0])
    (tmp_path / str(POOL[0].fragment_id)).rename(tmp_path / str(POOL[1].fragment_id))
    assert cache.get(POOL[1].fragment_id) is None
    assert list(tmp_path.iterdir()) == []


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_no_damage_is_returned_as_a_fragment(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("cache")
    cache = FragmentCache(directory)
    cache.put(POOL[0])
    path = directory / str(POOL[0].fragment_id)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    assert cache.get(POOL[0].fragment_id) is None
    assert not path.exists()


def test_many_threads_share_a_cache_that_is_too_small_for_them(tmp_path):
    def use(n: int) -> None:
        cache = FragmentCache(tmp_path, max_bytes=2 * SIZE)
        fragment = POOL[n % len(POOL)]
        cache.put(fragment)
        found = cache.get(fragment.fragment_id)
        assert found is None or found.to_bytes() == fragment.to_bytes()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(120)))
    assert all(not path.name.startswith(".") for path in tmp_path.iterdir())
