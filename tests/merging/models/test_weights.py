"""Weights merged from file to file, beside the same operators on whole tensors in memory."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from latentcrdt.errors import (
    InvalidRequestError,
    MalformedError,
    ModelMismatchError,
    UnsupportedDtypeError,
)
from latentcrdt.hf.tensors import to_bytes
from latentcrdt.merging.models import merge_weights, weights
from latentcrdt.merging.models.blend import OPERATORS, blend, operator_named
from latentcrdt.merging.operators import lerp, regmean, slerp
from tests.hf.tiny_models import make_model

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models, one of them in shards."""
    root = tmp_path_factory.mktemp("models")
    for name, seed, size in (("a", 0, "60KB"), ("b", 1, "1GB"), ("b-shards", 1, "90KB")):
        make_model("llama", dtype=torch.bfloat16, seed=seed).save_pretrained(
            root / name, max_shard_size=size
        )
    assert (root / "a" / "model.safetensors.index.json").exists()
    return root


def all_tensors(folder):
    return {k: v for f in folder.glob("*.safetensors") for k, v in load_file(f).items()}


def same_bits(a, b):
    return a.dtype == b.dtype and bytes(to_bytes(a)) == bytes(to_bytes(b))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("second", ["b", "b-shards"])
def test_streamed_in_blocks_equals_whole_tensors_in_memory(
    folders, tmp_path, monkeypatch, name, second
):
    monkeypatch.setattr(weights, "BLOCK_ELEMENTS", 500)
    merge_weights(
        folders / "a", folders / second, tmp_path / "m", operator=OPERATORS[name], alpha=0.3
    )
    of_a, of_b, merged = (all_tensors(f) for f in (folders / "a", folders / "b", tmp_path / "m"))
    assert merged.keys() == of_a.keys()
    for key, tensor in merged.items():
        assert same_bits(tensor, blend(OPERATORS[name], of_a[key], of_b[key], 0.3)), key


def test_the_merged_model_loads_and_is_the_model_of_the_merged_weights(folders, tmp_path):
    merge_weights(folders / "a", folders / "b", tmp_path / "m", operator=lerp, alpha=0.5)
    a, b, merged = (
        AutoModelForCausalLM.from_pretrained(f, dtype="auto")
        for f in (folders / "a", folders / "b", tmp_path / "m")
    )
    others = dict(b.named_parameters())
    with torch.no_grad():
        for name, parameter in a.named_parameters():
            parameter.copy_(lerp(parameter.float(), others[name].float(), 0.5))
        ids = torch.arange(3, 12)[None]
        assert torch.equal(a(ids).logits, merged(ids).logits)


@pytest.mark.parametrize("name", ["lerp", "slerp", "slerp-rms"])
@pytest.mark.parametrize(("alpha", "source"), [(0.0, "a"), (1.0, "b")])
def test_alpha_0_and_1_give_the_inputs_bytes(folders, tmp_path, name, alpha, source):
    merge_weights(
        folders / "a", folders / "b", tmp_path / "m", operator=OPERATORS[name], alpha=alpha
    )
    merged, expected = all_tensors(tmp_path / "m"), all_tensors(folders / source)
    assert all(same_bits(merged[key], expected[key]) for key in expected)


@settings(max_examples=60)
@given(
    st.sampled_from(DTYPES),
    st.sampled_from(["lerp", "slerp", "slerp-rms"]),
    st.lists(st.tuples(*[st.integers(0, 2**16 - 1)] * 2), min_size=1, max_size=8),
)
def test_at_the_ends_any_bits_come_back_nan_and_signed_zero_included(dtype, name, bits):
    """Every pattern of 16 bits; for float32, in the upper half of the word."""
    rows = torch.tensor(bits).T
    if dtype is torch.float32:
        a, b = ((row << 16).to(torch.int32).view(dtype) for row in rows)
    else:
        a, b = (row.to(torch.int16).view(dtype) for row in rows)
    assert same_bits(blend(OPERATORS[name], a, b, 0.0), a)
    assert same_bits(blend(OPERATORS[name], a, b, 1.0), b)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from(DTYPES))
def test_a_lerp_of_weights_lies_between_them_in_every_dtype(seed, alpha, dtype):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(3, 5, generator=generator).to(dtype) for _ in range(2))
    mixed = blend(lerp, a, b, alpha)
    assert mixed.dtype == dtype
    assert (torch.minimum(a, b) <= mixed).all()
    assert (mixed <= torch.maximum(a, b)).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES), st.sampled_from(list(OPERATORS)))
def test_at_half_the_models_may_change_places(seed, dtype, name):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(3, 5, generator=generator).to(dtype) for _ in range(2))
    operator = OPERATORS[name]
    assert torch.equal(blend(operator, a, b, 0.5), blend(operator, b, a, 0.5))


def test_no_more_than_a_block_is_looked_at_at_once(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BLOCK_ELEMENTS", 256)
    sizes = []

    def watching(a, b, alpha):
        sizes.append(a.numel())
        return lerp(a, b, alpha)

    merge_weights(folders / "a", folders / "b", tmp_path / "m", operator=watching, alpha=0.5)
    assert max(sizes) == 256
    assert sum(sizes) == sum(t.numel() for t in all_tensors(folders / "a").values())


def test_files_are_those_of_the_base(folders, tmp_path):
    merge_weights(folders / "a", folders / "b", tmp_path / "m", operator=lerp, alpha=0.5)
    names = [sorted(p.name for p in f.iterdir()) for f in (folders / "a", tmp_path / "m")]
    assert names[0] == names[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


def test_what_fails_leaves_nothing_behind(folders, tmp_path):
    def failing(a, b, alpha):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        merge_weights(folders / "a", folders / "b", tmp_path / "m", operator=failing, alpha=0.5)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_refused(folders, tmp_path):
    with pytest.raises(InvalidRequestError, match="does not exist yet"):
        merge_weights(folders / "a", folders / "b", tmp_path, operator=lerp, alpha=0.5)


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({"x": torch.zeros(2, 3)}, "got y as"),
        ({"x": torch.zeros(2, 3), "y": torch.zeros(3)}, "got y as"),
        ({"x": torch.zeros(2, 3).half(), "y": torch.zeros(2)}, "got x as"),
        ({"x": torch.zeros(2, 3), "y": torch.zeros(2), "z": torch.zeros(1)}, "got z as None"),
    ],
)
def test_checkpoints_of_other_tensors_are_refused_by_the_first(tmp_path, tensors, named):
    for name, content in (("a", {"x": torch.zeros(2, 3), "y": torch.zeros(2)}), ("b", tensors)):
        (tmp_path / name).mkdir()
        save_file(content, tmp_path / name / "model.safetensors")
    with pytest.raises(ModelMismatchError, match=named):
        merge_weights(tmp_path / "a", tmp_path / "b", tmp_path / "m", operator=lerp, alpha=0.5)


def test_scalars_and_empty_tensors_are_merged_too(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name).mkdir()
        content = {"s": torch.tensor(value), "e": torch.zeros(0, 4), "n": torch.zeros(3, 0)}
        save_file(content, tmp_path / name / "model.safetensors")
    for operator in (lerp, slerp):
        merge_weights(
            tmp_path / "a",
            tmp_path / "b",
            tmp_path / operator.__name__,
            operator=operator,
            alpha=0.25,
        )
        merged = all_tensors(tmp_path / operator.__name__)
        assert {k: list(t.shape) for k, t in merged.items()} == {"s": [], "e": [0, 4], "n": [3, 0]}
        assert merged["s"].item() == 1.25


def write_index(folder, content):
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(content)


@pytest.mark.parametrize(
    "content",
    [
        "nothing",
        "[]",
        '{"weight_map": []}',
        json.dumps({"weight_map": {"x": "missing.safetensors"}}),
        json.dumps({"weight_map": {"x": "../a/model.safetensors"}}),
    ],
)
def test_a_damaged_index_is_named(tmp_path, content):
    write_index(tmp_path / "bad", content)
    (tmp_path / "a").mkdir()
    save_file({"x": torch.zeros(2)}, tmp_path / "a" / "model.safetensors")
    with pytest.raises(MalformedError, match="index"):
        merge_weights(tmp_path / "bad", tmp_path / "a", tmp_path / "m", operator=lerp, alpha=0.5)


def test_other_damage_is_named(tmp_path):
    for name in ("none", "cut", "whole", "ints"):
        (tmp_path / name).mkdir()
    save_file({"x": torch.zeros(2)}, tmp_path / "whole" / "model.safetensors")
    save_file({"x": torch.zeros(2).int()}, tmp_path / "ints" / "model.safetensors")
    data = (tmp_path / "whole" / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(data[:-3])
    merge = partial(merge_weights, tmp_path / "whole", operator=lerp, alpha=0.5)
    for name, error in (
        ("none", InvalidRequestError),
        ("cut", MalformedError),
        ("ints", UnsupportedDtypeError),
    ):
        with pytest.raises(error):
            merge(tmp_path / name, tmp_path / "m")


def test_names_of_operators_are_known_or_refused():
    assert operator_named("slerp") is slerp
    half = operator_named("regmean")(torch.ones(2), 3 * torch.ones(2), 0.5)
    assert torch.equal(half, regmean(torch.ones(2), 3 * torch.ones(2), 0.5, 0.1))
    with pytest.raises(InvalidRequestError, match="expected one of"):
        operator_named("mean")
