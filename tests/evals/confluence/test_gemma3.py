"""Forks of the real model with sliding layers, where its optional package is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentcrdt.errors import ModelNotInstalledError
from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.fork import PADDING, fork
from latentcrdt.evals.confluence.probes import candidate_distributions
from latentcrdt.evals.models import LoadedModel, load_model
from latentcrdt.merging.gate import probe_ids
from latentcrdt.merging.gate.probes import PROBES


@pytest.fixture(scope="module")
def gemma() -> LoadedModel:
    try:
        return load_model("gemma3")
    except ModelNotInstalledError as error:
        pytest.skip(f"forks of a real model with sliding layers were NOT tested: {error}")


def test_a_probe_is_one_token(gemma: LoadedModel) -> None:
    tokenizer = gemma.tokenizer
    assert [tokenizer.decode([i]) for i in probe_ids(tokenizer)] == list(PROBES)


def test_a_branch_behind_a_long_prefix_predicts_what_the_whole_text_does(
    gemma: LoadedModel,
) -> None:
    model, tokenizer = gemma.model, gemma.tokenizer
    probes = probe_ids(tokenizer)
    pair = battery()[0].pairs[0]
    both = fork(model, tokenizer, pair, padding_tokens=64)
    got = candidate_distributions(model, both, [both.a, both.b], probes)
    neutral, own = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (PADDING.rstrip(), f" {pair.prefix}")
    )
    prefix = [tokenizer.bos_token_id, *neutral[-64:], *own]
    assert both.prefix_tokens == len(prefix)
    for distributions, ids in zip(got, (both.a_ids, both.b_ids), strict=True):
        for distribution, probe in zip(distributions, probes, strict=True):
            whole = torch.tensor([[*prefix, *ids, probe]])
            with torch.no_grad():
                logits = model(whole, logits_to_keep=1).logits[0, -1]
            expected = logits.double().softmax(-1).numpy()
            assert np.allclose(distribution, expected, atol=1e-5)
