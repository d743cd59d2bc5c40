from __future__ import annotations

import cmath
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import RopeStyle
from latentcrdt.render.tables import pair_indices
from latentcrdt.testing.fragments import make_rope
from scripts.codecs import Codec, join_planes, split_planes
from scripts.measure_compression import Limits, Row, gain, joined, measure, unrotate

rates = st.floats(1e6, 1e11)
limits = st.builds(Limits, rates, rates)
rows = st.builds(
    Row,
    st.just("model"),
    st.just("K"),
    st.just("codec"),
    st.floats(1, 4),
    st.just(1.0),
    st.just(4.0),
    rates,
    rates,
)


@settings(deadline=None)  # the first example waits for the compiler
@given(st.binary().filter(lambda data: len(data) % 2 == 0))
def test_planes_join_to_the_bytes_that_were_split(data):
    assert join_planes(split_planes(data)) == data


def test_the_first_plane_is_the_exponents():
    numbers = torch.tensor([1.5, -1.5, 2.0, 0.0]).bfloat16().view(torch.int16).numpy()
    assert split_planes(numbers.tobytes())[0].tolist() == [127, 127, 128, 0]


@pytest.mark.parametrize("style", list(RopeStyle))
def test_unrotated_keys_are_turned_back_by_their_position(style):
    rope = make_rope(8, style)
    inv_freq = np.frombuffer(rope.inv_freq, "<f4").astype(float)
    original = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(0)).double()
    rotated = original.clone()
    for token, position in enumerate(range(95, 100)):
        for a, b, frequency in zip(*pair_indices(rope), inv_freq, strict=True):
            for head in range(2):
                number = complex(original[head, token, a], original[head, token, b])
                number *= cmath.exp(1j * position * frequency)
                rotated[head, token, a], rotated[head, token, b] = number.real, number.imag
    stored = rotated.bfloat16().view(torch.int16).numpy().tobytes()
    found = torch.frombuffer(
        bytearray(unrotate(memoryview(stored), (2, 5, 10), rope, 100)), dtype=torch.bfloat16
    )
    # Rounded twice to 8 bits; a pair's error is as large as its larger member's.
    torch.testing.assert_close(
        found.reshape(2, 5, 10).double(), original, rtol=0, atol=2**-7 * float(original.abs().max())
    )


def test_a_codec_that_loses_a_bit_is_refused():
    lossy = Codec("lossy", zlib.compress, lambda data: zlib.decompress(data)[:-1] + b"?")
    with pytest.raises(ValueError, match="lossy: expected the same bytes"):
        measure("model", "K", [bytes(100)], [lossy], runs=1)


def test_a_ratio_is_bytes_before_over_bytes_after():
    halving = Codec("halving", lambda data: data[::2], lambda half: half + half)
    (row,) = measure("model", "K", [bytes(100), bytes(300)], [halving], runs=1)
    assert (row.ratio, row.least, row.most) == (2, 2, 2)


@given(rows, limits, st.sampled_from([1, 10, 25, 100]), st.booleans())
def test_nothing_gains_more_than_its_ratio(row, limits, link, is_stored):
    assert gain(row, limits, link, is_stored=is_stored) <= row.ratio * (1 + 1e-9)


def test_where_the_link_is_the_slowest_the_gain_is_the_ratio():
    row = Row("model", "K", "codec", 1.4, 1.0, 2.0, 1e9, 1e9)
    assert gain(row, Limits(4e9, 4e9), 1, is_stored=False) == pytest.approx(1.4)


def test_a_slow_codec_loses_on_a_fast_link():
    row = Row("model", "K", "codec", 1.4, 1.0, 2.0, 0.5e9, 5e9)
    assert gain(row, Limits(4e9, 4e9), 100, is_stored=False) == pytest.approx(0.5 / 4)
    assert gain(row, Limits(4e9, 4e9), 100, is_stored=True) == pytest.approx(1)


def test_whole_fragments_are_keys_and_values_together():
    keys = Row("model", "K", "codec", 2.0, 1.5, 3.0, 1e9, 4e9)
    values = Row("model", "V", "codec", 1.0, 1.0, 1.0, 1e9, 4e9)
    (whole,) = joined([keys, values])
    # 100 bytes of each become 50 and 100.
    assert whole.ratio == pytest.approx(200 / 150)
    assert (whole.least, whole.most) == (1.0, 3.0)
