from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.render.splitmix import splitmix64


@given(st.integers(0, 2**64 - 1))
def test_bits_are_those_of_the_vectorised_splitmix64(seed):
    draws = Draws(seed)
    assert [draws.bits() for _ in range(5)] == [int(z) for z in splitmix64(seed, 5)]


@given(st.integers(0, 2**64 - 1), st.integers(1, 30))
def test_a_sample_has_different_items_of_the_sequence(seed, count):
    sample = Draws(seed).sample(range(30), count)
    assert len(set(sample)) == count
    assert set(sample) <= set(range(30))


def test_every_order_of_three_is_as_likely():
    draws = Draws.named("orders")
    found = Counter(tuple(draws.shuffled("abc")) for _ in range(6000))
    assert len(found) == 6
    assert all(850 < n < 1150 for n in found.values())  # 5 standard deviations
