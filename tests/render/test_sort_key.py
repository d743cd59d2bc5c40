from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import NonFiniteKeysError
from latentcrdt.render import scratch_memory
from latentcrdt.render import sort_key as module
from latentcrdt.render.sort_key import check_keys, fold, sort_key
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.render import oracle

SPELLING = {Dtype.BF16: "<H", Dtype.F16: "<H", Dtype.F32: "<I"}


@given(
    st.sampled_from(list(Dtype)),
    st.integers(1, 40),
    st.integers(1, 3),
    st.sampled_from([2, 6, 8]),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_the_key_is_that_of_the_oracle(dtype, seq_len, heads, dim, seed):
    geometry = make_geometry(dtype=dtype, num_kv_heads=heads, head_dim=dim)
    fragment = make_fragment(seed, geometry=geometry, seq_len=seq_len)
    layer = geometry.key_layer
    assert sort_key(fragment) == oracle.sort_key(fragment.keys(layer), str(dtype), dim)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=70))
def test_the_fold_pads_to_a_power_of_two_and_adds_halves(values):
    assert fold(np.array(values)) == oracle.fold(values)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_size_of_chunks_changes_no_bit(monkeypatch, chunk):
    fragment = make_fragment(5, seq_len=33)
    whole = sort_key(fragment)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    assert sort_key(fragment) == whole


def test_norms_on_disk_change_no_bit(monkeypatch):
    fragment = make_fragment(5, seq_len=33)
    in_memory = sort_key(fragment)
    monkeypatch.setattr(scratch_memory, "MAX_IN_MEMORY", 4)
    assert sort_key(fragment) == in_memory


def with_key(dtype, bits, layer=1):
    geometry = make_geometry(dtype=dtype)
    fragment = make_fragment(1, geometry=geometry)
    layers = [(bytearray(fragment.keys(i)), fragment.values(i)) for i in range(3)]
    struct.pack_into(SPELLING[dtype], layers[layer][0], dtype.itemsize * 5, bits)
    return Fragment.build(geometry, layers, start=0, seq_len=5)


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        (Dtype.BF16, 0x7F80),
        (Dtype.BF16, 0xFF80),
        (Dtype.BF16, 0x7FC0),
        (Dtype.BF16, 0x7F81),
        (Dtype.F16, 0x7C00),
        (Dtype.F16, 0x7E00),
        (Dtype.F16, 0x7801),
        (Dtype.F16, 0xF801),
        (Dtype.F32, 0x7F800000),
        (Dtype.F32, 0xFFC00000),
    ],
)
def test_keys_that_cannot_be_turned_are_refused_by_layer(dtype, bits):
    with pytest.raises(NonFiniteKeysError) as caught:
        check_keys(with_key(dtype, bits))
    assert caught.value.details["layer"] == 1


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [(Dtype.BF16, 0x7F7F), (Dtype.F16, 0x7800), (Dtype.F16, 0xF800), (Dtype.F32, 0xFF7FFFFF)],
)
def test_the_largest_keys_pass(dtype, bits):
    check_keys(with_key(dtype, bits))


def test_values_may_hold_anything():
    geometry = make_geometry(num_layers=1)
    plain = make_fragment(1, geometry=geometry)
    nan = b"\xc0\x7f" * (len(plain.values(0)) // 2)
    check_keys(Fragment.build(geometry, [(plain.keys(0), nan)], start=0, seq_len=5))
