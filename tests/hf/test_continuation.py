"""Going on from a cache: any way of feeding the same tokens gives the same logits."""

import pytest
import torch

from latentcrdt.core.plan import Layout
from latentcrdt.hf import Continuation, capture, decode_inputs, stop_ids_of
from latentcrdt.hf.continuation import greedy
from tests.hf.oracle import render_of
from tests.hf.tiny_models import make_model

IDS = [5, 17, 40, 3, 88, 61, 29, 70, 12]
QUESTION = [14, 8, 90]


@pytest.fixture(scope="module", params=["llama", "gemma3_text", "glm4"])
def model(request):
    return make_model(request.param)


def test_from_nothing_it_is_a_prefill(model):
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0]
    logits = Continuation.from_nothing(model).feed(IDS, keep=4)
    torch.testing.assert_close(logits, expected[-4:], rtol=1e-4, atol=1e-5)


def test_token_by_token_is_the_same_as_all_at_once(model):
    at_once, one_by_one = (Continuation.from_nothing(model) for _ in range(2))
    expected = at_once.feed(IDS, keep=len(IDS))
    rows = [one_by_one.feed([token_id])[-1] for token_id in IDS]
    torch.testing.assert_close(torch.stack(rows), expected, rtol=1e-4, atol=1e-5)
    assert (one_by_one.num_tokens, one_by_one.next_position) == (9, 9)


@pytest.mark.parametrize("layout", [Layout.SEQUENTIAL, Layout.PARALLEL, Layout.SLOTTED], ids=str)
def test_greedy_tokens_are_those_of_generate_under_every_layout(model, layout):
    pair = [capture(model, None, IDS), capture(model, None, IDS[::-1])]
    rendered = render_of(pair, layout=layout, stride=50 if layout is Layout.SLOTTED else None)
    continuation = Continuation.of_render(rendered, model)
    token_ids = greedy(
        continuation.feed(QUESTION)[-1],
        lambda token_id: continuation.feed([token_id])[-1],
        max_new_tokens=8,
        stop_ids=frozenset(),
    )
    sequences = model.generate(
        **decode_inputs(rendered, model, QUESTION),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert token_ids == sequences[0, len(QUESTION) :].tolist()


def test_two_continuations_of_one_render_do_not_meet(model):
    rendered = render_of([capture(model, None, IDS)])
    digest = rendered.digest
    first, second = (Continuation.of_render(rendered, model) for _ in range(2))
    expected = first.feed(QUESTION)
    first.feed(IDS)
    assert torch.equal(second.feed(QUESTION), expected)
    assert rendered.digest == digest


def test_greedy_stops_before_a_stop_token_and_asks_for_no_logits_in_vain():
    asked = []

    def step(token_id):
        asked.append(token_id)
        return torch.eye(6)[token_id + 1]

    first = torch.eye(6)[1]
    assert greedy(first, step, max_new_tokens=9, stop_ids=frozenset([4])) == [1, 2, 3]
    assert asked == [1, 2, 3]
    asked.clear()
    assert greedy(first, step, max_new_tokens=2, stop_ids=frozenset()) == [1, 2]
    assert asked == [1]
    assert greedy(first, step, max_new_tokens=0, stop_ids=frozenset()) == []


@pytest.mark.parametrize(
    ("configured", "expected"), [(None, set()), (2, {2}), ([2, 5], {2, 5})], ids=str
)
def test_the_stop_tokens_are_those_that_generate_stops_at(configured, expected):
    model = make_model("llama")
    model.generation_config.eos_token_id = configured
    assert stop_ids_of(model) == expected
