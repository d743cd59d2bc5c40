"""APE against its formula in float64, and what its context manager leaves behind: nothing."""

import copy
import math
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AttentionInterface

from latentcrdt.agents.repair import APE
from latentcrdt.agents.repair.ape import ape_scores
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout
from latentcrdt.errors import InvalidRequestError, UnrepairableError, UnsupportedModelError
from latentcrdt.hf import capture, decode_inputs, load_cache
from latentcrdt.render.stream import render
from tests.agents.repair import naive_llama
from tests.agents.repair.worlds import PARTS, PREFIX
from tests.hf.oracle import layers_of, next_logits
from tests.hf.tiny_models import make_model

QUESTION = [14, 8, 90, 33]


def parallel(model, *, prefix=True):
    chain = [capture(model, None, PREFIX)] if prefix else []
    fragments = [capture(model, None, part, prefix=chain or None) for part in PARTS]
    plan = place([f.header for f in fragments], [p.header for p in chain], layout=Layout.PARALLEL)
    return render(plan, {f.fragment_id: f for f in (*chain, *fragments)})


def decoded(model, rendered, ape=None, question=QUESTION):
    """Logits after the question, fed at once, with or without APE."""
    cache, position = load_cache(rendered, model), rendered.plan.next_position
    if ape is None:
        return next_logits(model, cache, question, position)
    with ape.attention(model, rendered.plan):
        return next_logits(model, cache, question, position)


@pytest.mark.parametrize("prefix", [True, False], ids=["prefix", "alone"])
@pytest.mark.parametrize(("temperature", "scale"), [(0.9, 0.9), (0.2, 1.0), (1.0, 0.6)])
def test_decoding_is_that_of_the_formula_in_float64(prefix, temperature, scale):
    model = make_model("llama")
    rendered = parallel(model, prefix=prefix)
    expected = naive_llama.next_logits(
        model,
        layers_of(rendered),
        QUESTION,
        position=rendered.plan.next_position,
        context=slice(len(PREFIX) if prefix else 0, rendered.plan.num_tokens),
        temperature=temperature,
        scale=scale,
    )
    got = decoded(model, rendered, APE(temperature, scale)).double().numpy()
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()
    plain = decoded(model, rendered).double().numpy()
    assert np.abs(plain - expected).max() > 1e-2 * np.abs(expected).max()


@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=8),
    st.data(),
    st.floats(0.1, 1),
    st.floats(0.1, 1),
)
def test_one_softmax_is_the_two_parts_put_together(scores, data, temperature, scale):
    first = data.draw(st.integers(0, len(scores) - 1))
    stop = data.draw(st.integers(first + 1, len(scores)))
    tensor = torch.tensor(scores, dtype=torch.float64)
    got = ape_scores(tensor, slice(first, stop), APE(temperature, scale)).softmax(-1)
    expected = naive_llama.ape_attention(
        np.array([1.0]),
        np.array(scores)[:, None],
        np.eye(len(scores)),
        context=slice(first, stop),
        temperature=temperature,
        scale=scale,
    )
    assert np.allclose(got.numpy(), expected, rtol=1e-9, atol=1e-300)
    assert math.isclose(float(got.sum()), 1)


@pytest.mark.parametrize("variant", ["llama", "qwen3", "glm4", "smollm3", "olmo2"])
def test_temperature_and_scale_of_one_change_nothing(variant):
    model = make_model(variant)
    rendered = parallel(model)
    got, expected = decoded(model, rendered, APE(1, 1)), decoded(model, rendered)
    assert float((got - expected).abs().max()) < 1e-4 * float(expected.abs().max())


def test_the_order_of_the_fragments_means_nothing():
    model = make_model("llama")
    fragments = {f.fragment_id: f for f in (capture(model, None, part) for part in PARTS)}
    logits = []
    for order in (list(fragments), list(fragments)[::-1]):
        plan = place([fragments[i].header for i in order], layout=Layout.PARALLEL)
        logits.append(decoded(model, render(plan, fragments), APE()))
    assert float((logits[0] - logits[1]).abs().max()) < 1e-4


def test_a_question_token_by_token_is_the_question_at_once():
    model = make_model("llama")
    rendered = parallel(model)
    cache, position = load_cache(rendered, model), rendered.plan.next_position
    with APE().attention(model, rendered.plan):
        for offset, token_id in enumerate(QUESTION):
            logits = next_logits(model, cache, [token_id], position + offset)
    assert float((logits - decoded(model, rendered, APE())).abs().max()) < 1e-4


def test_generate_decodes_with_it():
    model = make_model("llama")
    rendered = parallel(model)
    settings = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with APE(0.3, 0.5).attention(model, rendered.plan):
        first = model.generate(**decode_inputs(rendered, model, QUESTION), **settings)[0, 4]
    assert int(first) == int(decoded(model, rendered, APE(0.3, 0.5)).argmax())


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_everything_is_put_back(fails):
    model = make_model("llama")
    rendered = parallel(model)
    before = decoded(model, rendered)
    names, settings = set(AttentionInterface._global_mapping), copy.deepcopy(model.config.to_dict())
    implementation = model.config._attn_implementation
    expectation = pytest.raises(ZeroDivisionError) if fails else nullcontext()
    with expectation, APE().attention(model, rendered.plan):
        assert model.config._attn_implementation != implementation
        if fails:
            raise ZeroDivisionError
    assert set(AttentionInterface._global_mapping) == names
    assert model.config._attn_implementation == implementation
    assert model.config.to_dict() == settings
    assert torch.equal(decoded(model, rendered), before)


def test_two_models_in_two_threads_attend_each_in_its_own_way():
    models = [make_model("llama"), make_model("llama", seed=1)]
    rendered = [parallel(model) for model in models]
    apes = [APE(0.5, 0.5), APE(0.9, 0.9)]
    expected = [decoded(m, r, a) for m, r, a in zip(models, rendered, apes, strict=True)]
    barrier, got = threading.Barrier(2), [None, None]

    def run(i):
        with apes[i].attention(models[i], rendered[i].plan):
            barrier.wait()
            cache = load_cache(rendered[i], models[i])
            got[i] = next_logits(models[i], cache, QUESTION, rendered[i].plan.next_position)
            barrier.wait()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_another_layout_is_refused():
    model = make_model("llama")
    plan = place([capture(model, None, PARTS[0]).header])
    attention = APE().attention(model, plan)
    with pytest.raises(UnrepairableError, match="expected layout parallel, got sequential"):
        attention.__enter__()


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("gemma3_text", "layer 0 slides"),
        ("falcon", "takes no other function than its own"),
    ],
)
def test_models_that_it_is_not_defined_for_are_refused_by_name(variant, message):
    model = make_model(variant)
    plan = place([capture(model, None, PARTS[0]).header], layout=Layout.PARALLEL)
    attention = APE().attention(model, plan)
    with pytest.raises(UnsupportedModelError, match=f"{variant}.*{message}"):
        attention.__enter__()


def test_attention_with_capped_scores_is_refused_when_it_is_met():
    model = make_model("gemma2", layer_types=["full_attention"] * 4)
    plan = place([capture(model, None, PARTS[0]).header], layout=Layout.PARALLEL)
    with APE().attention(model, plan), pytest.raises(UnsupportedModelError, match="'softcap'"):
        model(input_ids=torch.tensor([QUESTION]))


def test_a_batch_and_a_cache_without_the_render_are_refused():
    model = make_model("llama")
    rendered = parallel(model)
    refused = pytest.raises(InvalidRequestError, match="decodes one sequence behind")
    with APE().attention(model, rendered.plan), refused:
        model(input_ids=torch.tensor([QUESTION]))


@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, 0.0), (1.5, 1.0), (1.0, float("nan"))])
def test_values_outside_their_range_are_refused(values):
    with pytest.raises(InvalidRequestError, match="expected above 0 and up to 1"):
        APE(*values)
