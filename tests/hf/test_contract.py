"""The contract: what it says of a model, when it is examined anew, what the self-test catches."""

import gc
import weakref

import pytest
import torch
from transformers import AutoModelForCausalLM

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.errors import ShiftEquivarianceError, UnsupportedRopeError
from latentcrdt.hf import ModelContract, contract
from latentcrdt.hf.families import FAMILIES, Family
from latentcrdt.hf.self_test import check_shift
from tests.hf.oracle import plain_prefill
from tests.hf.tiny_models import make_model


def test_a_contract_describes_every_layer():
    described = ModelContract.of(make_model("gemma3_text", dtype=torch.bfloat16))
    geometry = described.geometry
    assert described.name == "gemma3_text"
    assert geometry.dtype is Dtype.BF16
    assert [(s.num_kv_heads, s.key_dim, s.value_dim) for s in geometry.layers] == [(2, 16, 16)] * 4
    assert [s.rope for s in geometry.layers] == [0, 1, 0, 1]
    assert geometry.ropes[0].frequencies[1] == pytest.approx(100 ** (-1 / 8))
    assert geometry.ropes[1].frequencies[0] == 1 / 8


def test_partial_and_interleaved_ropes_are_described_as_such():
    glm = ModelContract.of(make_model("glm4")).geometry.ropes[0]
    phi = ModelContract.of(make_model("phi")).geometry.ropes[0]
    assert (glm.style, glm.rotary_dim) == (RopeStyle.INTERLEAVED, 8)
    assert (phi.style, phi.rotary_dim) == (RopeStyle.HALF, 8)


def test_layers_without_rotary_positions_are_described_as_such():
    geometry = ModelContract.of(make_model("smollm3")).geometry
    assert [spec.rope for spec in geometry.layers] == [0, 0, None, 0]


def test_the_evidence_is_far_below_the_bound():
    evidence = ModelContract.of(make_model("llama")).evidence
    assert 0 < evidence.keys_error < evidence.bound / 100


@pytest.fixture
def probes(monkeypatch):
    """The positions at which the self-test has prefilled a model so far."""
    positions = []
    original = contract.prefill

    def counted(model, token_ids, *, position, cache):
        positions.append(position)
        original(model, token_ids, position=position, cache=cache)

    monkeypatch.setattr(contract, "prefill", counted)
    return positions


def test_the_self_test_runs_once_for_each_model_instance(probes):
    model = make_model("llama")
    first = ModelContract.of(model)
    assert ModelContract.of(model) is first
    assert probes == [0, 100]


def test_a_model_whose_weights_were_written_to_is_examined_anew(probes):
    model = make_model("llama")
    before = ModelContract.of(model)
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight.mul_(1.5)
    after = ModelContract.of(model)
    assert len(probes) == 4
    assert after.geometry.model_id != before.geometry.model_id


def test_a_contract_does_not_keep_its_model_alive():
    model = make_model("llama")
    ModelContract.of(model)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_a_model_stays_in_training_mode_if_it_was():
    model = make_model("llama", attention_dropout=0.5).train()
    model.model.layers[0].eval()
    ModelContract.of(model)
    modes = [module.training for module in model.modules()]
    assert model.training
    assert not model.model.layers[0].training
    assert set(modes) == {True, False}


@pytest.mark.parametrize(
    ("variant", "wrong"),
    [
        ("llama", Family(RopeStyle.INTERLEAVED)),
        ("glm4", Family(RopeStyle.HALF)),
        ("smollm3", Family(RopeStyle.HALF)),
        ("llama", Family(RopeStyle.HALF, rotates=lambda _config, layer: layer != 2)),
    ],
    ids=["half taken for interleaved", "interleaved taken for half", "turned", "not turned"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_wrong_entry_in_the_table_of_families_is_caught_on_the_live_model(
    variant, wrong, dtype, monkeypatch
):
    monkeypatch.setitem(FAMILIES, variant, wrong)
    with pytest.raises(ShiftEquivarianceError, match="keys differ by") as caught:
        ModelContract.of(make_model(variant, dtype=dtype))
    assert caught.value.details["keys_error"] > 0.3


def test_a_model_whose_values_depend_on_the_position_is_caught():
    model = make_model("llama")
    model.model.embed_tokens.register_forward_hook(
        lambda _module, _inputs, output: output + model.model.embed_tokens.offset
    )
    model.model.embed_tokens.offset = 0.0

    def note_position(_module, _args, kwargs):
        model.model.embed_tokens.offset = float(kwargs["position_ids"][0, 0])

    model.register_forward_pre_hook(note_position, with_kwargs=True)
    with pytest.raises(ShiftEquivarianceError, match="values by"):
        ModelContract.of(model)


def test_frequencies_rounded_by_converting_a_loaded_model_are_refused_with_the_remedy():
    model = make_model("llama").to(torch.bfloat16)
    with pytest.raises(
        UnsupportedRopeError, match=r"from_pretrained\(\.\.\., dtype=torch.bfloat16"
    ):
        ModelContract.of(model)


def test_frequencies_that_were_rounded_and_widened_again_are_refused():
    model = make_model("llama").to(torch.bfloat16).float()
    with pytest.raises(UnsupportedRopeError, match="ulp"):
        ModelContract.of(model)


@pytest.mark.parametrize("ulp", [4, 5])
def test_live_frequencies_may_differ_by_four_units_in_the_last_place(ulp):
    model = make_model("llama")
    inv_freq = model.model.rotary_emb.inv_freq
    canonical = torch.frombuffer(
        bytearray(ModelContract.of(model).geometry.ropes[0].inv_freq), dtype=torch.float32
    )
    inv_freq.copy_((canonical.view(torch.int32) + ulp).view(torch.float32))
    if ulp == 4:
        assert ModelContract.of(model).geometry.ropes[0].rotary_dim == 16
    else:
        with pytest.raises(UnsupportedRopeError, match="got 5 ulp"):
            ModelContract.of(model)


def test_a_model_loaded_in_bf16_is_accepted(tmp_path):
    make_model("llama").save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert ModelContract.of(model).geometry.dtype is Dtype.BF16


@pytest.mark.parametrize("damage", [0.01, float("nan")], ids=str)
@pytest.mark.parametrize("part", ["keys", "values"])
def test_keys_and_values_are_each_compared_in_every_layer(part, damage):
    model = make_model("llama")
    geometry = ModelContract.of(model).geometry
    pairs = [plain_prefill(model, [5, 6, 7]).layers for _ in range(2)]
    near, far = ([(layer.keys, layer.values) for layer in layers] for layers in pairs)
    assert check_shift(geometry, near, far, offset=0).keys_error == 0
    far[3][part == "values"].mul_(1 + damage)
    with pytest.raises(ShiftEquivarianceError, match="layer 3"):
        check_shift(geometry, near, far, offset=0)
