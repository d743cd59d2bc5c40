"""Against the model itself: what stands behind a fork is what the model would have computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel

from latentcrdt.evals.confluence.battery import Pair
from latentcrdt.evals.confluence.fork import Fork, UnequalBranchesError, fork
from latentcrdt.evals.confluence.merges import Merges
from latentcrdt.evals.confluence.probes import candidate_distributions
from latentcrdt.merging.search import SEARCHES
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

PAIR = Pair("test-00", "test", "merge", "The cat sat", "on a mat", "by a bed")


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=160, n_embd=16, n_layer=4, n_head=2, n_positions=256)
    return AutoModelForCausalLM.from_config(config).eval()


MODELS = {
    "llama": lambda: make_model("llama"),
    "gemma3": lambda: make_model("gemma3_text"),
    "gpt2": gpt2,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return MODELS[request.param]()


def forked(model: PreTrainedModel, padding: int = 0) -> Fork:
    return fork(model, make_tokenizer(), PAIR, padding_tokens=padding)


@pytest.mark.parametrize("padding", [0, 9])
def test_a_branch_behind_the_prefix_predicts_what_the_whole_text_does(
    model: PreTrainedModel, padding: int
) -> None:
    both = forked(model, padding)
    tokenizer = make_tokenizer()
    probe = tokenizer("x", add_special_tokens=False)["input_ids"][0]
    got = candidate_distributions(model, both, [both.a, both.b], [probe, probe])
    from latentcrdt.evals.confluence.fork import PADDING

    neutral = tokenizer(PADDING.rstrip(), add_special_tokens=False)["input_ids"]
    for distributions, text in zip(got, (PAIR.a, PAIR.b), strict=True):
        own = f"{' ' if padding else ''}{PAIR.prefix} {text}x"
        ids = [
            tokenizer.bos_token_id,
            *neutral[len(neutral) - padding :],
            *tokenizer(own, add_special_tokens=False)["input_ids"],
        ]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        expected = logits.double().softmax(-1).numpy()
        for row in distributions:
            assert np.allclose(row, expected, atol=1e-6)


def test_a_fork_can_be_asked_again(model: PreTrainedModel) -> None:
    both = forked(model)
    first, second = (candidate_distributions(model, both, [both.a], [5]) for _ in range(2))
    assert np.array_equal(first, second)


def test_many_candidates_at_once_are_what_each_is_alone(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = forked(model)
    candidates = [both.a, both.b, both.a]
    together = candidate_distributions(model, both, candidates, [5, 7])
    monkeypatch.setattr("latentcrdt.evals.confluence.probes.AT_ONCE", 1)
    assert np.allclose(
        together, candidate_distributions(model, both, candidates, [5, 7]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("on a mat", "on a large mat", "tokens; expected a difference"),
        ("on a mat", "on a mat", "same tokens"),
        ("on a mat", "on ä mat", "does not know"),
    ],
)
def test_branches_that_cannot_be_laid_over_each_other_are_refused(
    a: str, b: str, message: str
) -> None:
    pair = Pair("test-01", "test", "merge", "The cat sat", a, b)
    with pytest.raises(UnequalBranchesError, match=message):
        fork(make_model("llama"), make_tokenizer(), pair, padding_tokens=0)


def test_a_branch_that_is_a_little_longer_is_trimmed() -> None:
    pair = Pair("test-02", "test", "merge", "The cat sat", "on a mat", "on a seat")
    both = fork(make_model("llama"), make_tokenizer(), pair, padding_tokens=0)
    assert (both.trimmed, len(both.a_ids), len(both.b_ids)) == (1, 9, 9)


def test_symmetric_strategies_do_not_see_the_anchor_and_searches_end_no_worse() -> None:
    model = make_model("llama")
    both = forked(model)
    merges = Merges(model, both, [5, 7])
    found = {(m.strategy, m.anchor): m for m in merges.all(searches=list(SEARCHES))}
    for name in ("uniform-average", "uniform-slerp", "norm-weighted-slerp"):
        assert found[name, "a"].metrics.balance == pytest.approx(found[name, "b"].metrics.balance)
    assert found["v-only", "a"].metrics.balance == pytest.approx(
        found["v-only-b-keys", "b"].metrics.balance
    )
    for name, search in SEARCHES.items():
        fixed = "uniform-average" if search.by_layer else search.strategy
        searched, still = found[name, "a"].metrics, found[fixed, "a"].metrics
        assert objective(searched) <= objective(still) + 1e-6


def objective(metrics: object) -> float:
    balance, share = metrics.balance, metrics.mass_share  # type: ignore[attr-defined]
    return abs(balance) + 10 * max(0.0, 0.5 - share)
