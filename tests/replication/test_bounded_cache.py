from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from latentcrdt.replication.bounded_cache import BoundedCache


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache["a"], cache["b"] = 1, 2
    assert cache["a"] == 1
    cache["c"] = 3
    assert dict(cache) == {"a": 1, "c": 3}


def test_asking_whether_a_key_is_there_counts_as_use() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache["a"], cache["b"] = 1, 2
    assert "a" in cache
    cache["c"] = 3
    assert "b" not in cache


def test_weights_are_bounded_together() -> None:
    cache: BoundedCache[str, bytes] = BoundedCache(10, len)
    cache["a"], cache["b"] = bytes(6), bytes(4)
    assert set(cache) == {"a", "b"}
    cache["a"] = bytes(7)
    assert set(cache) == {"a"}
    cache["a"] = bytes(3)
    cache["b"] = bytes(7)
    assert set(cache) == {"a", "b"}


def test_a_value_heavier_than_everything_is_not_kept() -> None:
    cache: BoundedCache[str, bytes] = BoundedCache(10, len)
    cache["a"] = bytes(11)
    assert len(cache) == 0
    cache["b"] = bytes(10)
    assert len(cache) == 1


def test_deleting_what_is_not_there_is_an_error() -> None:
    cache: BoundedCache[str, bytes] = BoundedCache(10, len)
    cache["a"] = bytes(10)
    del cache["a"]
    with pytest.raises(KeyError):
        del cache["a"]
    cache["b"] = bytes(10)
    assert list(cache) == ["b"]


def test_threads_leave_the_weight_right() -> None:
    cache: BoundedCache[int, bytes] = BoundedCache(50, len)

    def use(seed: int) -> None:
        for n in range(500):
            cache[(seed * 31 + n) % 97] = bytes(n % 7)
            cache.get(n % 97)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert cache._weight == sum(map(len, cache.values())) <= 50
