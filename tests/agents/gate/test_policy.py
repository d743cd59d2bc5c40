"""The thresholds, against every threshold there is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.agents.gate import Outcome, Policy
from latentcrdt.agents.gate.policy import held_out_risks, needs_no_trial
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
    return result([(e, policy.decide(e.signals).outcome) for e in examples])


def result(pairs):
    right = [e.right[outcome] for e, outcome in pairs]
    cost = [e.cost[outcome] for e, outcome in pairs]
    return sum(right) / len(right), sum(cost) / len(cost)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([0.0, 0.05, 0.2]))
def test_no_threshold_is_as_good_on_held_out_risks_and_cheaper(seed, count, tolerance):
    examples = [without_repair(e) for e in made_up(count, seed)]
    risks = held_out_risks(examples)

    def by(threshold):
        outcomes = [LATENT if risk <= threshold else TEXT for risk in risks]
        return result(list(zip(examples, outcomes, strict=True)))

    ((_, chosen),) = Policy.calibrate(examples, tolerance=tolerance).thresholds
    accuracy, cost = by(chosen)
    every = [by(threshold) for threshold in (-1.0, *risks)]
    best = max(a for a, _ in every)
    assert accuracy >= best - tolerance - 1e-9
    assert cost == pytest.approx(min(c for a, c in every if a >= best - tolerance - 1e-9))


def test_no_example_is_judged_by_a_model_that_has_seen_it():
    examples = made_up(23)
    risks = held_out_risks(examples)
    for i in (0, 7, 22):
        flipped = replace(
            examples[i], right={LATENT: examples[i].is_hurt, REPAIRED: True, TEXT: True}
        )
        assert flipped.is_hurt != examples[i].is_hurt
        again = held_out_risks([*examples[:i], flipped, *examples[i + 1 :]])
        assert again[i] == risks[i]
        assert again[(i + 1) % 23] != risks[(i + 1) % 23]


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
