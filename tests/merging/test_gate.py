"""A trial against the battery's own figures, and a gate against its limits."""

from __future__ import annotations

import pytest
from transformers import PreTrainedModel

from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import IncompatibleFragmentsError, ModelMismatchError
from latentcrdt.evals.confluence.battery import Pair
from latentcrdt.evals.confluence.fork import fork
from latentcrdt.evals.confluence.merges import Merges
from latentcrdt.hf import capture
from latentcrdt.merging.gate import Gate, Trial, probe_ids, try_merge
from latentcrdt.merging.gate.metrics import late_value_cosine
from latentcrdt.merging.gate.trial import STRATEGY
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

PAIR = Pair("test-00", "test", "merge", "The cat sat", "on a mat", "by a bed")
SAME_WORDS = Pair("test-01", "test", "merge", "The cat sat", "on a mat", "a mat on")


@pytest.fixture(scope="module", params=["llama", "gemma3_text"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return make_model(request.param)


def branches(
    model: PreTrainedModel, *texts: str, withheld: bool = False
) -> tuple[Fragment, list[Fragment]]:
    tokenizer = make_tokenizer()
    prefix = capture(model, tokenizer, PAIR.prefix)  # that of all pairs here
    return prefix, [
        capture(model, tokenizer, f" {text}", prefix=prefix, withhold_token_ids=withheld)
        for text in texts
    ]


@pytest.mark.parametrize(
    ("pair", "withheld"), [(PAIR, False), (SAME_WORDS, False), (SAME_WORDS, True)]
)
def test_a_trial_of_fragments_shows_what_the_battery_measures(
    model: PreTrainedModel, pair: Pair, withheld: bool
) -> None:
    probes = probe_ids(make_tokenizer())
    prefix, (a, b) = branches(model, pair.a, pair.b, withheld=withheld)
    trial = try_merge(model, probes, [prefix], a, b)
    forked = fork(model, make_tokenizer(), pair, padding_tokens=0)
    merges = Merges(model, forked, probes).all(searches=[])
    expected = next(m.metrics for m in merges if (m.strategy, m.anchor) == (STRATEGY, "a"))
    assert trial.balance == pytest.approx(expected.balance, abs=1e-5)
    assert trial.mass_share == pytest.approx(expected.mass_share, rel=1e-5)
    values = ([v for _, v in rows] for rows in (forked.a, forked.b))
    assert trial.late_cosine == pytest.approx(late_value_cosine(*values), abs=1e-6)


def test_branches_that_change_places_turn_the_balance_round() -> None:
    model = make_model("llama")
    probes = probe_ids(make_tokenizer())
    prefix, (a, b) = branches(model, PAIR.a, PAIR.b)
    there, back = (try_merge(model, probes, [prefix], *pair) for pair in ((a, b), (b, a)))
    assert there.balance == pytest.approx(-back.balance, abs=1e-5)
    assert there.late_cosine == pytest.approx(back.late_cosine)


def test_branches_of_other_lengths_or_another_model_are_refused() -> None:
    model = make_model("llama")
    probes = probe_ids(make_tokenizer())
    prefix, (a, longer) = branches(model, PAIR.a, "on a large mat")
    with pytest.raises(IncompatibleFragmentsError, match="expected branches of"):
        try_merge(model, probes, [prefix], a, longer)
    prefix, (a, b) = branches(model, PAIR.a, PAIR.b)
    with pytest.raises(ModelMismatchError):
        try_merge(make_model("qwen3"), probes, [prefix], a, b)


TRIAL = Trial(late_cosine=0.7, balance=-0.5, mass_share=0.9)


@pytest.mark.parametrize(
    ("gate", "reasons"),
    [
        (Gate(), []),
        (Gate(0.6, 0.8, 0.6), []),
        (Gate(0.7, 0.9, 0.5), []),
        (Gate(least_cosine=0.71), ["late cosine 0.700 is below 0.710"]),
        (Gate(least_share=0.95), ["mass share 0.900 is below 0.950"]),
        (Gate(most_balance=0.4), ["|balance| 0.500 is above 0.400"]),
    ],
)
def test_a_gate_stops_what_breaks_a_limit_and_says_which(gate: Gate, reasons: list[str]) -> None:
    assert gate.reasons(TRIAL) == reasons
    assert gate.passes(TRIAL) is (reasons == [])


def test_all_broken_limits_are_named() -> None:
    assert len(Gate(0.99, 0.99, 0.01).reasons(TRIAL)) == 3
