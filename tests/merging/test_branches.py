from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.errors import (
    FragmentNotFoundError,
    IncompatibleFragmentsError,
    InvalidRequestError,
    NonFiniteKeysError,
    TooLargeError,
)
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.merging.exact_values import to_bits, to_values
from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt.render import scratch_memory
from latentcrdt.render.bits import UNSIGNED, widen
from latentcrdt.render.sort_key import sort_key
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.merging.naive import Layers, naive

PRECISION = {Dtype.BF16: 8, Dtype.F16: 11, Dtype.F32: 24}


def canonical(fragments: Sequence[Fragment]) -> RenderPlan:
    by_id = {fragment.fragment_id: fragment for fragment in fragments}
    order = canonical_order((sort_key(f), f.fragment_id) for f in fragments)
    return place([by_id[fragment_id].header for fragment_id in order], layout=Layout.PARALLEL)


def merge(
    fragments: Sequence[Fragment], strategy: str, given: dict[str, float] | None = None
) -> Fragment:
    by_id = {fragment.fragment_id: fragment for fragment in fragments}
    return BranchMerge(strategy, given).apply(canonical(fragments), by_id)


def values_of(fragment: Fragment) -> Layers:
    geometry = fragment.header.geometry
    layers = []
    for i, spec in enumerate(geometry.layers):
        pair = [
            widen(np.frombuffer(part, UNSIGNED[geometry.dtype]), geometry.dtype)
            .astype(np.float64)
            .reshape(spec.num_kv_heads, -1, dim)
            for part, dim in (
                (fragment.keys(i), spec.key_dim),
                (fragment.values(i), spec.value_dim),
            )
        ]
        layers.append((pair[0], pair[1]))
    return layers


def branches(dtype: Dtype = Dtype.BF16, num: int = 2, seq_len: int = 5) -> list[Fragment]:
    geometry = make_geometry(dtype=dtype, num_layers=4, num_kv_heads=3)
    return [make_fragment(9 + i, geometry=geometry, seq_len=seq_len) for i in range(num)]


def counts(strategy: str) -> tuple[int, ...]:
    return (2, 3) if STRATEGIES[strategy].many else (2,)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dtype", Dtype)
def test_the_result_is_the_formula_rounded_to_the_dtype(strategy: str, dtype: Dtype) -> None:
    fragments = branches(dtype)
    first, second = (
        next(f for f in fragments if f.fragment_id == placement.fragment_id)
        for placement in canonical(fragments).placements
    )
    expected = naive(
        strategy, values_of(first), values_of(second), dict(STRATEGIES[strategy].defaults)
    )
    got = values_of(merge(fragments, strategy))
    for pair, expected_pair in zip(got, expected, strict=True):
        for value, exact in zip(pair, expected_pair, strict=True):
            # Half a unit in the last place, and what the oracle itself rounds.
            bound = np.abs(exact) * (2.0 ** -PRECISION[dtype] + 1e-12) + 2.0**-24
            assert (np.abs(value - exact) <= bound).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_a_pure_function_of_the_set(strategy: str) -> None:
    for num in counts(strategy):
        fragments = branches(num=num)
        ids = {merge(p, strategy).fragment_id for p in itertools.permutations(fragments)}
        assert len(ids) == 1


@given(st.integers(0, 2**32), st.sampled_from(sorted(STRATEGIES)), st.sampled_from(Dtype))
@settings(max_examples=30)
def test_a_merge_is_a_fragment_of_the_class_at_the_branches_place(
    seed: int, strategy: str, dtype: Dtype
) -> None:
    geometry = make_geometry(dtype=dtype, num_layers=2, windows=(4,))
    prefix = make_fragment(1, geometry=geometry, seq_len=3)
    fragments = [
        make_fragment(seed + i, geometry=geometry, start=3, seq_len=6, prefix=prefix.fragment_id)
        for i in range(2)
    ]
    by_id = {fragment.fragment_id: fragment for fragment in fragments}
    headers = [fragment.header for fragment in fragments]
    plan = place(headers, [prefix.header], layout=Layout.PARALLEL)
    merged = BranchMerge(strategy).apply(plan, by_id)
    merged.verify()
    header = merged.header
    assert (header.geometry, header.start, header.seq_len, header.prefix) == (
        geometry,
        3,
        6,
        prefix.fragment_id,
    )
    alone = place([header], [prefix.header])
    assert (alone.class_id, alone.placements[0].delta) == (plan.class_id, 0)


def test_what_a_strategy_leaves_alone_keeps_its_bits() -> None:
    """-0, subnormal numbers and NaN payloads included."""
    geometry = make_geometry(num_layers=2)
    awkward = np.array([0x8000, 0x0001, 0x8003, 0x7FC1, 0xFF81, 0x7F80, 0x0000], dtype="<u2")
    fragments = []
    for seed in (1, 2):
        fragment = make_fragment(seed, geometry=geometry)
        layers = []
        for i in range(2):
            values = np.frombuffer(fragment.values(i), "<u2").copy()
            values[10 * seed : 10 * seed + len(awkward)] = awkward
            if i == 0:
                values[40] = 0x7FC0 + seed  # a NaN in both
            layers.append((fragment.keys(i), values.tobytes()))
        fragments.append(Fragment.build(geometry, layers, start=0, seq_len=5))
    plan = canonical(fragments)
    by_id = {f.fragment_id: f for f in fragments}
    anchor, other = (by_id[p.fragment_id] for p in plan.placements)
    untouched = merge(fragments, "uniform-average", {"weight": 0.0})
    assert untouched.body == anchor.body
    whole = merge(fragments, "uniform-average", {"weight": 1.0})
    expected = np.frombuffer(other.values(0), "<u2").copy()
    expected[40] = np.frombuffer(anchor.values(0), "<u2")[40]
    assert whole.values(0) == expected.data.cast("B")
    late = merge(fragments, "late-only")
    assert (late.keys(0), late.values(0)) == (anchor.keys(0), anchor.values(0))
    crossed = merge(fragments, "cross-wired")
    assert (crossed.keys(1), crossed.values(1)) == (anchor.keys(1), other.values(1))


@pytest.mark.parametrize("dtype", Dtype)
def test_values_and_bits_are_inverse_for_every_kind_of_element(dtype: Dtype) -> None:
    width = 8 * dtype.itemsize
    sample = range(0, 1 << width, 1 if width == 16 else 65_521)
    bits = np.array(sample, dtype=np.uint64).astype(UNSIGNED[dtype])
    assert np.array_equal(to_bits(to_values(bits, dtype), dtype, [bits]), bits)


@pytest.fixture
def flush_to_zero() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("flush_to_zero")
@pytest.mark.parametrize("dtype", Dtype)
def test_flush_to_zero_changes_no_value(dtype: Dtype) -> None:
    subnormal = np.array([1, 2, 3], dtype=UNSIGNED[dtype])
    unit = {Dtype.BF16: 2.0**-133, Dtype.F16: 2.0**-24, Dtype.F32: 2.0**-149}[dtype]
    assert to_values(subnormal, dtype).tolist() == [unit, 2 * unit, 3 * unit]


def test_a_long_body_on_disk_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = merge(branches(), "uniform-slerp")
    monkeypatch.setattr(scratch_memory, "MAX_IN_MEMORY", 4)
    assert merge(branches(), "uniform-slerp").body == in_memory.body


def test_the_derivation_names_strategy_parameters_and_branches() -> None:
    fragments = branches()
    plan = canonical(fragments)
    derivation = BranchMerge("late-only", {"weight": 0.3}).derivation(plan)
    assert (derivation.method, derivation.parameters) == ("late-only", (("weight", "0.3"),))
    assert derivation.inputs == tuple(p.fragment_id for p in plan.placements)
    spelled = BranchMerge("late-only").derivation(plan)
    assert spelled == BranchMerge("late-only", {"weight": 0.5}).derivation(plan)


def test_a_parameter_below_zero_has_a_name_too() -> None:
    """Found by the conformance kit: a threshold of -1 could be applied, and not named."""
    derivation = BranchMerge("cosine-gated", {"threshold": -1.0}).derivation(canonical(branches()))
    assert dict(derivation.parameters)["threshold"] == "-1.0"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_taken_in_pieces_change_no_bit(monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    # A threshold that some heads and some rows pass.
    given = {"threshold": 0.0} if "threshold" in STRATEGIES[strategy].defaults else {}
    whole = [merge(branches(num=num), strategy, given).body for num in counts(strategy)]
    monkeypatch.setattr("latentcrdt.merging.branches.PIECE_VALUES", 80)  # two rows, then one
    assert [merge(branches(num=num), strategy, given).body for num in counts(strategy)] == whole


@pytest.mark.parametrize("strategy", [n for n, s in STRATEGIES.items() if s.takes_whole_heads])
def test_a_rule_that_takes_whole_heads_needs_them(
    monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Otherwise it would be refused long heads for nothing."""
    geometry = make_geometry(num_layers=1, num_kv_heads=8)
    near = [make_fragment(seed, geometry=geometry) for seed in (1, 2)]
    given = {"threshold": 0.0} if "threshold" in STRATEGIES[strategy].defaults else {}
    whole = merge(near, strategy, given).body
    monkeypatch.setattr("latentcrdt.merging.branches.PIECE_VALUES", 32)
    monkeypatch.setattr(BranchMerge, "_rows_at_once", lambda *_: 1)
    assert merge(near, strategy, given).body != whole


def test_heads_too_long_to_be_taken_whole_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentcrdt.merging.branches.MAX_VALUES", 5 * 32)  # K and V, twice, of 8
    fragments = branches(seq_len=5)
    merge(fragments, "max-norm-head")
    longer = branches(seq_len=6)
    with pytest.raises(TooLargeError, match="at most 5 tokens of these branches, got 6"):
        merge(longer, "max-norm-head")
    merge(longer, "uniform-slerp")


def test_a_branch_that_is_not_given_is_named() -> None:
    fragments = branches()
    plan = canonical(fragments)
    held = {f.fragment_id: f for f in fragments}
    missing = plan.placements[1].fragment_id
    del held[missing]
    with pytest.raises(FragmentNotFoundError, match=str(missing)):
        BranchMerge("v-only").apply(plan, held)


@pytest.mark.parametrize("change", [{"start": 8}, {"seq_len": 6}])
def test_branches_at_other_positions_are_refused(change: dict[str, int]) -> None:
    geometry = make_geometry()
    one = make_fragment(1, geometry=geometry)
    other = make_fragment(2, geometry=geometry, **change)
    with pytest.raises(IncompatibleFragmentsError, match="expected branches of"):
        merge([one, other], "uniform-average")


def test_another_layout_and_a_single_branch_are_refused() -> None:
    fragments = branches()
    with pytest.raises(IncompatibleFragmentsError, match="in layout parallel"):
        BranchMerge("v-only").derivation(place([fragment.header for fragment in fragments]))
    with pytest.raises(InvalidRequestError, match="two or more branches, got 1"):
        merge(fragments[:1], "v-only")


def test_keys_that_leave_the_dtype_are_refused() -> None:
    geometry = make_geometry(num_layers=1, num_kv_heads=1)
    largest = np.full(5 * 8, 0x7F7F, dtype="<u2")
    turned = largest.copy()
    turned[1::2] |= 0x8000
    one, other = (
        Fragment.build(geometry, [(keys.tobytes(), keys.tobytes())], start=0, seq_len=5)
        for keys in (largest, turned)
    )
    with pytest.raises(NonFiniteKeysError):
        merge([one, other], "uniform-slerp")
