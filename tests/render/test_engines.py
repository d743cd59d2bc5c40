"""Both engines against the oracle and against each other, bit for bit."""

from __future__ import annotations

import importlib.util
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.errors import EngineSelfTestError
from latentcrdt.render import torch_engine
from latentcrdt.render.bits import LARGEST_KEY, SMALLEST_KEY, UNSIGNED
from latentcrdt.render.golden import golden, key_vectors, self_test
from latentcrdt.render.golden import rotations as rotations_of
from latentcrdt.render.numba_engine import NumbaEngine
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.selection import select_engine
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.tables import rotation_table
from latentcrdt.render.torch_engine import CHUNK_ELEMENTS, TorchEngine, Turner
from latentcrdt.testing.golden import compute
from tests.render import oracle

ENGINES = [ReferenceEngine(), TorchEngine(), NumbaEngine()]


def key_bits(dtype):
    """Bits of legal keys, with the edges of the flush rule and signed zeros drawn often."""
    sign = 1 << (8 * dtype.itemsize - 1)
    edges = [0, 1, max(SMALLEST_KEY[dtype] - 1, 0), SMALLEST_KEY[dtype], LARGEST_KEY[dtype] // 2]
    magnitudes = st.sampled_from(edges) | st.integers(0, LARGEST_KEY[dtype] // 2)
    return st.builds(lambda m, s: m | (sign if s else 0), magnitudes, st.booleans())


@st.composite
def rotations(draw):
    dtype = draw(st.sampled_from(list(Dtype)))
    dim = draw(st.integers(2, 9))
    rotary_dim = 2 * draw(st.integers(1, dim // 2))
    frequency = st.just(0.0) | st.floats(0, 2, width=32, allow_subnormal=False)
    frequencies = draw(st.lists(frequency, min_size=rotary_dim // 2, max_size=rotary_dim // 2))
    inv_freq = np.abs(np.array(frequencies, "<f4")).tobytes()
    rope = RopeDescriptor(draw(st.sampled_from(list(RopeStyle))), rotary_dim, inv_freq)
    heads, rows = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    count = heads * rows * dim
    bits = draw(st.lists(key_bits(dtype), min_size=count, max_size=count))
    keys = np.array(bits, dtype=UNSIGNED[dtype]).reshape(heads, rows, dim)
    delta = draw(st.integers(-(2**31) + 1, 2**31 - 1).filter(bool))
    return dtype, rope, keys, delta


@given(rotations())
@settings(max_examples=300, deadline=None)
def test_engines_agree_with_the_oracle_to_the_bit(case):
    dtype, rope, keys, delta = case
    expected = oracle.rotate_section(
        keys.tobytes(), str(dtype), keys.shape[-1], str(rope.style), rope.frequencies, delta
    )
    for engine in ENGINES:
        into = np.empty_like(keys)
        engine.rotate(keys, into, dtype, rotation_table(rope, delta, dtype))
        assert into.tobytes() == expected, engine.name


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_every_golden_stage_is_reproduced(engine):
    assert compute(engine) == golden()


def test_the_fastest_engine_is_selected():
    assert select_engine().name == "numba"


def test_an_engine_that_fails_its_self_test_gives_way_to_the_next(monkeypatch):
    monkeypatch.setattr(NumbaEngine, "rotate", ReferenceEngine.rotate)
    monkeypatch.setattr(TorchEngine, "rotate", lambda *_: None)
    assert select_engine.__wrapped__().name == "numba"
    monkeypatch.setattr(NumbaEngine, "rotate", lambda *_: None)
    assert select_engine.__wrapped__().name == "numpy"
    monkeypatch.setattr(ReferenceEngine, "rotate", lambda *_: None)
    with pytest.raises(EngineSelfTestError):
        select_engine.__wrapped__()


def test_a_machine_without_accelerators_uses_the_reference(monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name != "numpy" else object()
    )
    assert select_engine.__wrapped__().name == "numpy"


def test_an_engine_that_turns_the_other_way_is_not_used():
    class Backwards(ReferenceEngine):
        name = "backwards"

        def rotate(self, source, into, dtype, table):
            turned_back = type(table)(table.rope, table.cos, -table.sin, table.turns)
            super().rotate(source, into, dtype, turned_back)

    with pytest.raises(EngineSelfTestError, match="backwards"):
        self_test(Backwards())


def test_an_engine_that_does_not_flush_is_not_used(monkeypatch):
    monkeypatch.setattr(Turner, "_flushed", lambda self, bits: bits)
    with pytest.raises(EngineSelfTestError):
        self_test(TorchEngine())


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
@pytest.mark.parametrize("dtype", [Dtype.BF16, Dtype.F32])
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("magnitude", [1, "largest"])
def test_tiny_keys_among_ordinary_ones_are_flushed(engine, dtype, sign, magnitude):
    tiny = SMALLEST_KEY[dtype] - 1 if magnitude == "largest" else magnitude
    ordinary = np.frombuffer(float_bits(3, 2 * 5 * 16, dtype), UNSIGNED[dtype]).reshape(2, 5, 16)
    keys, flushed = ordinary.copy(), ordinary.copy()
    # A pair of them: beside an ordinary key, nobody would see whether they were flushed.
    keys[1, 2, [3, 11]] = tiny | sign << (8 * dtype.itemsize - 1)
    flushed[1, 2, [3, 11]] = 0
    rope = RopeDescriptor(RopeStyle.HALF, 16, np.linspace(0.1, 1, 8).astype("<f4").tobytes())
    table = rotation_table(rope, 5, dtype)
    turned, expected = np.empty_like(keys), np.empty_like(keys)
    engine.rotate(keys, turned, dtype, table)
    ReferenceEngine().rotate(flushed, expected, dtype, table)
    assert np.array_equal(turned, expected)


@pytest.mark.parametrize("chunk", [16, 48, 1 << 10, CHUNK_ELEMENTS])
def test_the_size_of_chunks_changes_no_bit(monkeypatch, chunk):
    monkeypatch.setattr(torch_engine, "CHUNK_ELEMENTS", chunk)
    self_test(TorchEngine())


@given(st.integers(1, 4), st.integers(1, 70), st.sampled_from([2, 6, 16]), st.integers(1, 300))
@settings(deadline=None)
def test_any_shape_is_covered_by_chunks_of_any_size(heads, num_rows, dim, chunk):
    keys = key_vectors(Dtype.BF16).reshape(-1)[: heads * num_rows * dim].reshape(heads, -1, dim)
    rope = RopeDescriptor(RopeStyle.HALF, 2, np.float32([0.5]).astype("<f4").tobytes())
    table = rotation_table(rope, 3, Dtype.BF16)
    expected, into = np.empty_like(keys), np.empty_like(keys)
    ReferenceEngine().rotate(keys, expected, Dtype.BF16, table)
    with pytest.MonkeyPatch.context() as patch:
        # The scratch of 57,000 rows was once a row too short for its chunks.
        patch.setattr(torch_engine, "CHUNK_ELEMENTS", chunk)
        TorchEngine().rotate(keys, into, Dtype.BF16, table)
    assert np.array_equal(into, expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(threads):
    default = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert compute(TorchEngine()) == golden()
    finally:
        torch.set_num_threads(default)


def test_flush_to_zero_changes_no_bit():
    # In a thread of its own: the mode belongs to the thread that sets it, and to those it starts.
    failures = []

    def run():
        torch.set_flush_denormal(True)
        try:
            for engine in (ReferenceEngine(), TorchEngine(), NumbaEngine()):
                failures.extend([] if compute(engine) == golden() else [engine.name])
            modes.append(flushes())
        finally:
            torch.set_flush_denormal(False)

    modes = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []
    assert modes == [True]


def flushes():
    """Whether the arithmetic of this thread makes 0 of what is too small for a normal number."""
    return bool(np.float32([2.0**-126])[0] * np.float32(0.5) == 0)


def test_strided_sources_and_targets_are_turned_in_place():
    dtype = Dtype.BF16
    keys = key_vectors(dtype)
    rope = RopeDescriptor(RopeStyle.HALF, 16, np.linspace(0.1, 1, 8).astype("<f4").tobytes())
    table = rotation_table(rope, 5, dtype)
    whole = np.empty_like(keys)
    ReferenceEngine().rotate(keys, whole, dtype, table)
    for engine in ENGINES:
        wider = np.zeros((2, 600, 16), dtype=UNSIGNED[dtype])
        engine.rotate(keys[:, 10:50], wider[:, 7:47], dtype, table)
        assert np.array_equal(wider[:, 7:47], whole[:, 10:50])
        assert not wider[:, :7].any()
        assert not wider[:, 47:].any()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_a_source_at_an_odd_address_is_turned_alike(engine):
    dtype = Dtype.BF16
    keys = key_vectors(dtype)
    rope = RopeDescriptor(RopeStyle.HALF, 16, np.linspace(0.1, 1, 8).astype("<f4").tobytes())
    table = rotation_table(rope, 5, dtype)
    odd = np.frombuffer(b"." + keys.tobytes(), dtype=UNSIGNED[dtype], offset=1).reshape(keys.shape)
    aligned, into = np.empty_like(keys), np.empty_like(keys)
    engine.rotate(keys, aligned, dtype, table)
    engine.rotate(odd, into, dtype, table)
    assert np.array_equal(into, aligned)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_engines_work_from_many_threads_at_once(engine):
    results = []

    def run():
        results.extend(rotations_of(engine) == golden()["rotate"] for _ in range(5))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20
