"""The thresholds, against every threshold there is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.agents.gate import Outcome, Policy
from latentcrdt.agents.gate.policy import needs_no_trial
from latentcrdt.agents.method import Purpose
from latentcrdt.errors import InvalidRequestError
from tests.agents.gate.examples import LATENT, REPAIRED, TEXT, made_up


def without_repair(example):
    return replace(
        example,
        right={o: right for o, right in example.right.items() if o is not REPAIRED},
        cost={o: cost for o, cost in example.cost.items() if o is not REPAIRED},
    )


def outcome_of(policy, examples):
    """Return accuracy and mean cost of what a policy decides."""
    outcomes = [policy.decide(e.signals).outcome for e in examples]
    right = [e.right[o] for e, o in zip(examples, outcomes, strict=True)]
    cost = [e.cost[o] for e, o in zip(examples, outcomes, strict=True)]
    return sum(right) / len(right), sum(cost) / len(cost)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([0.0, 0.05, 0.2]))
def test_no_threshold_is_as_good_and_cheaper(seed, count, tolerance):
    examples = [without_repair(e) for e in made_up(count, seed)]
    policy = Policy.calibrate(examples, tolerance=tolerance)
    accuracy, cost = outcome_of(policy, examples)
    risks = [policy.risk.probability(e.signals) for e in examples]
    every = [
        outcome_of(Policy(policy.risk, ((LATENT, threshold),)), examples)
        for threshold in (-1.0, *risks)
    ]
    best = max(a for a, _ in every)
    assert accuracy >= best - tolerance - 1e-9
    assert cost == pytest.approx(min(c for a, c in every if a >= best - tolerance - 1e-9))


def test_a_policy_is_nearly_as_good_as_text_and_cheaper_on_other_examples_too():
    policy = Policy.calibrate(made_up(300), tolerance=0.05)
    accuracy, cost = outcome_of(policy, made_up(300, seed=1))
    assert accuracy > 0.9
    assert cost < 80
    assert {policy.decide(e.signals).outcome for e in made_up(300, seed=1)} >= {LATENT, TEXT}


def test_a_repair_takes_the_place_of_text_where_it_always_helps():
    examples = [
        replace(e, right={LATENT: e.right[LATENT], REPAIRED: True, TEXT: True})
        for e in made_up(100)
    ]
    outcomes = {Policy.calibrate(examples).decide(e.signals).outcome for e in examples}
    assert outcomes == {LATENT, REPAIRED}


def test_merges_that_never_hurt_are_all_used():
    examples = [without_repair(replace(e, right=dict.fromkeys(Outcome, True))) for e in made_up(30)]
    policy = Policy.calibrate(examples)
    assert {policy.decide(e.signals).outcome for e in examples} == {LATENT}


def test_thresholds_ascend():
    (_, first), (_, second) = Policy.calibrate(made_up(100)).thresholds
    assert first <= second


def test_judges_are_not_even_tried():
    decision = needs_no_trial(Purpose.JUDGE)
    assert (decision.outcome, decision.risk) == (Outcome.DENSE, None)
    assert needs_no_trial(Purpose.ANSWER) is None


@pytest.mark.parametrize(
    "examples",
    [
        [],
        [*made_up(1), without_repair(made_up(1)[0])],
        [without_repair(made_up(1)[0]), *made_up(1)],
    ],
    ids=["none", "fewer outcomes", "more outcomes"],
)
def test_examples_that_do_not_compare_are_refused(examples):
    with pytest.raises(InvalidRequestError, match="calibration"):
        Policy.calibrate(examples)
