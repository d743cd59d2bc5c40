"""Laws of latent_merge, on tiny random models of several families."""

from __future__ import annotations

import copy
import gc
import weakref
from contextlib import ExitStack

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, StaticCache

from latentcrdt.errors import InvalidRequestError, ModelMismatchError, UnsupportedCacheError
from latentcrdt.merging.models import latent_merge
from latentcrdt.merging.models.blend import OPERATORS
from latentcrdt.merging.models.decoder import Decoder
from latentcrdt.merging.operators import cosine, lerp, slerp
from tests.hf.tiny_models import make_model

VARIANTS = ("llama", "qwen3", "gemma3_text", "gpt2", "gpt_neox", "cohere2", "mixtral")
NUM_LAYERS = 4


def pair(variant="llama", dtype=torch.float32, **changes):
    return tuple(make_model(variant, dtype=dtype, seed=seed, **changes) for seed in (0, 1))


@pytest.fixture(scope="module")
def models():
    return pair()


def ids(rows=2, tokens=9, seed=0):
    return torch.randint(3, 90, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def logits(model, *args, **kwargs):
    with torch.no_grad():
        return model(*args, **kwargs).logits


def layer_outputs(model, token_ids):
    """What each layer gives, by hooks: an independent way to hidden states."""
    seen = []
    handles = [
        layer.register_forward_hook(
            lambda _m, _a, out: seen.append(out[0] if isinstance(out, tuple) else out)
        )
        for layer in Decoder.of(model).layers
    ]
    logits(model, token_ids)
    for handle in handles:
        handle.remove()
    return seen


def everything(model):
    """All that a merge could leave behind: weights, buffers, hooks, attributes of all modules."""
    tensors = [t.detach().clone() for t in (*model.parameters(), *model.buffers())]
    modules = [
        {k: len(v) if k.endswith("_hooks") else id(v) for k, v in vars(module).items()}
        for module in model.modules()
    ]
    return tensors, modules


def assert_unchanged(model, before):
    tensors, modules = everything(model)
    assert modules == before[1]
    assert all(torch.equal(a, b) for a, b in zip(tensors, before[0], strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_layers_above_go_on_from_the_blend_of_both_models_hidden_states(variant):
    base, tuned = pair(variant)
    of_base, of_tuned = (layer_outputs(m, ids())[1] for m in (base, tuned))
    with latent_merge(base, tuned, layer=1, alpha=0.3):
        merged = layer_outputs(base, ids())
    assert torch.equal(merged[1], lerp(of_base, of_tuned, 0.3))
    # The same by hand: put the blend in the place of what the layer gave.
    blended = merged[1]
    handle = (
        Decoder.of(base)
        .layers[1]
        .register_forward_hook(
            lambda _m, _a, out: (blended, *out[1:]) if isinstance(out, tuple) else blended
        )
    )
    expected = layer_outputs(base, ids())
    handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(merged[2:], expected[2:], strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_leaving_the_block_restores_both_models_to_the_bit(variant):
    base, tuned = pair(variant)
    before = [(everything(m), logits(m, ids())) for m in (base, tuned)]
    with latent_merge(base, tuned, layer=2, alpha=0.5, operator=slerp):
        changed = logits(base, ids())
        assert torch.equal(logits(tuned, ids()), before[1][1]), "the tuned model is whole"
    assert not torch.equal(changed, before[0][1])
    for model, (facts, outputs) in zip((base, tuned), before, strict=True):
        assert torch.equal(logits(model, ids()), outputs)
        assert_unchanged(model, facts)


class PlannedError(Exception):
    pass


@pytest.mark.parametrize(
    "place", ["in the block", "in the operator", "in the base", "in the tuned"]
)
def test_an_exception_restores_both_models_too(models, place):
    base, tuned = models
    before = [(everything(m), logits(m, ids())) for m in models]

    def failing(*_):
        raise PlannedError

    def run_in_a_merge():
        with ExitStack() as stack:
            operator = failing if place == "in the operator" else lerp
            stack.enter_context(latent_merge(base, tuned, layer=2, alpha=0.5, operator=operator))
            if place in ("in the base", "in the tuned"):
                broken = base if place == "in the base" else tuned
                stack.callback(broken.model.layers[1].register_forward_hook(failing).remove)
            if place == "in the block":
                raise PlannedError
            base.generate(ids(), max_new_tokens=2)

    with pytest.raises(PlannedError):
        run_in_a_merge()
    for model, (facts, outputs) in zip(models, before, strict=True):
        assert torch.equal(logits(model, ids()), outputs)
        assert_unchanged(model, facts)
    with latent_merge(base, tuned, layer=0, alpha=0.5):  # neither model is held to be in use
        pass


@settings(max_examples=25)
@given(
    st.sampled_from(["lerp", "slerp", "slerp-rms"]),
    st.integers(0, NUM_LAYERS - 1),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.integers(0, 3),
)
def test_alpha_0_is_the_base_model_to_the_bit(operator, layer, dtype, seed):
    base, tuned = pair(dtype=dtype)
    expected = logits(base, ids(seed=seed))
    with latent_merge(base, tuned, layer=layer, alpha=0.0, operator=OPERATORS[operator]):
        assert torch.equal(logits(base, ids(seed=seed)), expected)


@pytest.mark.parametrize("operator", ["lerp", "slerp", "slerp-rms"])
def test_alpha_1_at_the_last_layer_is_the_tuned_model_under_the_base_models_head(models, operator):
    base, tuned = models
    last = layer_outputs(tuned, ids())[-1]
    with torch.no_grad():
        expected = base.lm_head(base.model.norm(last))
    with latent_merge(base, tuned, layer=3, alpha=1.0, operator=OPERATORS[operator]):
        assert torch.equal(logits(base, ids()), expected)


def test_two_equal_models_merge_to_what_they_are(models):
    base, _ = models
    twin = make_model("llama", seed=0)
    expected = logits(base, ids())
    for operator in (lerp, slerp):
        with latent_merge(base, twin, layer=1, alpha=0.37, operator=operator):
            assert torch.equal(logits(base, ids()), expected)


GENERATION = {"do_sample": False, "max_new_tokens": 10, "pad_token_id": 0}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ways", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_cached_generation_equals_uncached(variant, ways):
    base, tuned = pair(variant)
    with latent_merge(base, tuned, layer=2, alpha=0.5, operator=slerp):
        cached = base.generate(ids(), **GENERATION, **ways)
        uncached = base.generate(ids(), use_cache=False, **GENERATION, **ways)
    assert torch.equal(cached, uncached)
    alone = base.generate(ids(), **GENERATION, **ways)
    assert not torch.equal(alone, cached), "the merge did not change what is generated"


def test_other_ways_to_generate_keep_both_caches_in_step(models):
    base, tuned = models
    with latent_merge(base, tuned, layer=2, alpha=0.5):
        plain = base.generate(ids(1), **GENERATION)
        looked_up = base.generate(ids(1), prompt_lookup_num_tokens=2, **GENERATION)
        chunked = base.generate(ids(1), prefill_chunk_size=4, **GENERATION)
        several = base.generate(ids(1), num_beams=2, num_return_sequences=2, **GENERATION)
        assert torch.equal(
            several,
            base.generate(
                ids(1), num_beams=2, num_return_sequences=2, use_cache=False, **GENERATION
            ),
        )
    assert torch.equal(looked_up, plain)
    assert torch.equal(chunked, plain)


def test_a_padded_row_generates_what_it_does_alone(models):
    base, tuned = models
    short, long = ids(1, 5), ids(1, 9, seed=3)
    batch = torch.cat([torch.cat([torch.zeros(1, 4, dtype=torch.long), short], 1), long])
    mask = torch.ones_like(batch)
    mask[0, :4] = 0
    with latent_merge(base, tuned, layer=1, alpha=0.5, operator=slerp):
        both = base.generate(batch, attention_mask=mask, **GENERATION)
        alone = [base.generate(row, **GENERATION) for row in (short, long)]
    assert torch.equal(both[0, 4 : 4 + alone[0].shape[1]], alone[0][0])
    assert torch.equal(both[1, : alone[1].shape[1]], alone[1][0])


@pytest.mark.parametrize("variant", ["llama", "gemma3_text"])
@pytest.mark.parametrize("configured", [True, False])
def test_a_cache_of_the_caller_is_used_and_given_back_as_it_was(variant, configured):
    base, tuned = pair(variant)
    cache = DynamicCache(config=base.config) if configured else DynamicCache()
    with torch.no_grad(), latent_merge(base, tuned, layer=2, alpha=0.5):
        whole = base(ids()).logits
        for start, stop in ((0, 4), (4, 5), (5, 9)):
            step = base(ids()[:, start:stop], past_key_values=cache)
            assert torch.allclose(step.logits, whole[:, start:stop], atol=1e-5)
    assert step.past_key_values is cache
    assert len(cache.layers) == NUM_LAYERS
    assert cache.get_seq_length() == 9


def test_rows_that_the_tuned_model_never_saw_are_refused(models):
    base, tuned = models
    cache = DynamicCache(config=base.config)
    logits(base, ids(), past_key_values=cache)
    with (
        latent_merge(base, tuned, layer=2, alpha=0.5),
        pytest.raises(UnsupportedCacheError, match="9 rows, of which the second model has 0"),
    ):
        logits(base, ids(), past_key_values=cache)
    # What was filled in an earlier merge was given back without the tuned model's part.
    cache = DynamicCache(config=base.config)
    with latent_merge(base, tuned, layer=2, alpha=0.5):
        logits(base, ids(), past_key_values=cache)
    with latent_merge(base, tuned, layer=2, alpha=0.5), pytest.raises(UnsupportedCacheError):
        logits(base, ids(), past_key_values=cache)


def test_a_copy_of_a_cache_takes_the_tuned_models_rows_along(models):
    base, tuned = models
    cache = DynamicCache(config=base.config)
    with latent_merge(base, tuned, layer=2, alpha=0.5):
        whole = logits(base, ids())
        logits(base, ids()[:, :6], past_key_values=cache)
        for _ in range(2):
            rest = logits(base, ids()[:, 6:], past_key_values=copy.deepcopy(cache))
            assert torch.allclose(rest, whole[:, 6:], atol=1e-5)


def test_a_cache_that_cannot_hold_both_is_refused(models):
    base, tuned = models
    cache = StaticCache(config=base.config, max_cache_len=16)
    with (
        latent_merge(base, tuned, layer=2, alpha=0.5),
        pytest.raises(UnsupportedCacheError, match="Static"),
    ):
        logits(base, ids(), past_key_values=cache)


def test_a_cache_is_not_kept_alive(models):
    base, tuned = models
    with torch.no_grad(), latent_merge(base, tuned, layer=2, alpha=0.5):
        reference = weakref.ref(base(ids()).past_key_values)
        gc.collect()
        assert reference() is None


def test_without_a_cache_none_is_made(models):
    base, tuned = models
    with torch.no_grad(), latent_merge(base, tuned, layer=2, alpha=0.5):
        assert base(ids(), use_cache=False).past_key_values is None
        assert base(ids(), use_cache=True).past_key_values is not None


def test_where_the_condition_says_no_the_base_stays_to_the_bit(models):
    base, tuned = models
    a, b = (layer_outputs(m, ids())[1] for m in models)
    middle = cosine(a, b, -1)[..., 0].median()
    with latent_merge(
        base, tuned, layer=1, alpha=0.5, when=lambda a, b: cosine(a, b, -1)[..., 0] > middle
    ):
        merged = layer_outputs(base, ids())[1]
    chosen = cosine(a, b, -1)[..., 0] > middle
    assert chosen.any()
    assert not chosen.all()
    assert torch.equal(merged[~chosen], a[~chosen])
    assert torch.equal(merged[chosen], lerp(a, b, 0.5)[chosen])


def test_a_condition_may_hold_for_all_tokens_or_none(models):
    base, tuned = models
    alone = logits(base, ids())
    with latent_merge(base, tuned, layer=1, alpha=0.5):
        always = logits(base, ids())
    for answer, expected in ((False, alone), (True, always)):
        with latent_merge(base, tuned, layer=1, alpha=0.5, when=lambda a, b, x=answer: x):
            assert torch.equal(logits(base, ids()), expected)


@pytest.mark.parametrize("answer", [1.0, torch.ones(2, 8, dtype=torch.bool), torch.ones(2, 9)])
def test_a_condition_that_is_none_is_refused(models, answer):
    with (
        latent_merge(*models, layer=1, alpha=0.5, when=lambda a, b: answer),
        pytest.raises(InvalidRequestError, match="when: expected a boolean"),
    ):
        logits(models[0], ids())


@pytest.mark.parametrize("layer", [-1, NUM_LAYERS])
def test_a_layer_out_of_range_is_refused(models, layer):
    with (
        pytest.raises(InvalidRequestError, match="layer: expected 0 to 3"),
        latent_merge(*models, layer=layer, alpha=0.5),
    ):
        pass


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_alpha_out_of_range_is_refused(models, alpha):
    with (
        pytest.raises(InvalidRequestError, match="alpha"),
        latent_merge(*models, layer=1, alpha=alpha),
    ):
        pass


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda: make_model("qwen3"), "class"),
        (lambda: make_model("llama", num_hidden_layers=3), "number of layers"),
        (lambda: make_model("llama", hidden_size=32), "embed_tokens.weight"),
        (lambda: make_model("llama", intermediate_size=32), "mlp"),
        (lambda: make_model("llama", dtype=torch.bfloat16), "bfloat16"),
    ],
)
def test_two_architectures_are_refused_by_their_first_difference(models, other, named):
    base, _ = models
    with (
        pytest.raises(ModelMismatchError, match=named),
        latent_merge(base, other(), layer=1, alpha=0.5),
    ):
        pass


def test_a_model_with_itself_is_refused(models):
    base, _ = models
    with (
        pytest.raises(InvalidRequestError, match="two models"),
        latent_merge(base, base, layer=1, alpha=0.5),
    ):
        pass


def test_a_merge_within_a_merge_is_refused_and_leaves_the_outer_one_as_it_is(models):
    base, tuned = models
    third = make_model("llama", seed=2)
    with latent_merge(base, tuned, layer=1, alpha=0.5):
        expected = logits(base, ids())
        for pairing in ((base, third), (third, base), (tuned, third), (base, tuned)):
            with (
                pytest.raises(InvalidRequestError, match="neither of them merging"),
                latent_merge(*pairing, layer=2, alpha=0.5),
            ):
                pass
        assert torch.equal(logits(base, ids()), expected)


def test_a_layer_that_runs_outside_of_its_model_is_refused(models):
    base, tuned = models
    with (
        latent_merge(base, tuned, layer=1, alpha=0.5),
        pytest.raises(InvalidRequestError, match="within its model"),
    ):
        base.model.layers[1](
            torch.zeros(1, 1, 64),
            position_embeddings=(torch.ones(1, 1, 16), torch.zeros(1, 1, 16)),
        )


def test_recorded_hidden_states_are_the_merged_ones(models):
    base, tuned = models
    logits(base, ids(), output_hidden_states=True)  # recording hooks are there before the merge
    with torch.no_grad(), latent_merge(base, tuned, layer=1, alpha=0.5):
        recorded = base(ids(), output_hidden_states=True).hidden_states
        assert torch.equal(recorded[2], layer_outputs(base, ids())[1])
