"""The gate as a method, and the trial that it decides by."""

import json
from dataclasses import replace

import pytest
import torch

from latentcrdt.agents.gate import Gated, Outcome, Policy, RiskModel, collect, try_merge
from latentcrdt.agents.method import Purpose
from latentcrdt.agents.methods import build_methods
from latentcrdt.agents.methods.no_cache import NoCache
from latentcrdt.agents.regime import Regime
from latentcrdt.errors import InvalidRequestError
from tests.agents.crew import TASK, make_team

EVEN = RiskModel(0.0, (0.0,) * 10, (0.0,) * 10, (1.0,) * 10)
"""Says 0.5 of everything."""

NEVER, ALWAYS = -1.0, 0.5


def policy(latent, repaired=None):
    rungs = ((Outcome.LATENT, latent), (Outcome.REPAIRED, repaired))
    return Policy(EVEN, rungs[: 1 if repaired is None else 2])


@pytest.fixture(scope="module")
def team():
    return make_team(Regime(num_steps=1, shared_prefix=True))


@pytest.fixture(scope="module")
def answers(team):
    names = ("single", "text-merge", "canonical")
    return {name: build_methods(team, 3)[name].answer(TASK) for name in names}


def test_a_merge_that_passes_is_answered_from_the_trial(team, answers):
    answer = Gated(team, policy(ALWAYS)).answer(TASK)
    assert answer.facts["outcome"] == "latent"
    assert (answer.text, answer.receipt) == (
        answers["canonical"].text,
        answers["canonical"].receipt,
    )
    assert answer.facts["order"] == answers["canonical"].facts["order"]
    assert answer.cost.prefilled_tokens == 4 * len(team.question_ids(TASK))


def test_what_a_gate_says_can_be_written_as_json(team):
    facts = Gated(team, policy(ALWAYS)).answer(TASK).facts
    assert json.loads(json.dumps(facts)) == facts
    assert facts["signals"]["num_fragments"] == 3


def test_a_merge_that_fails_is_answered_from_texts_and_the_trial_is_paid_for(team, answers):
    answer = Gated(team, policy(NEVER)).answer(TASK)
    text = answers["text-merge"]
    assert (answer.facts["outcome"], answer.facts["risk"]) == ("text", 0.5)
    assert (answer.text, answer.receipt) == (text.text, None)
    trial = 4 * len(team.question_ids(TASK))
    assert answer.cost.prefilled_tokens == trial + text.cost.prefilled_tokens
    moved = team.read(TASK).num_bytes + text.cost.bytes_moved
    assert answer.cost.bytes_moved == moved


def test_a_repair_stands_between_the_two(team):
    repaired = NoCache(team)  # any other method will do
    answer = Gated(team, policy(NEVER, ALWAYS), repaired).answer(TASK)
    assert answer.facts["outcome"] == "repaired"
    assert answer.text == repaired.answer(TASK).text


def test_a_policy_that_knows_repairs_needs_one(team):
    with pytest.raises(InvalidRequestError, match="expected a repair"):
        Gated(team, policy(NEVER, ALWAYS))


def test_a_judge_reads_everything_itself_whatever_the_policy(team, answers):
    judged = replace(TASK, purpose=Purpose.JUDGE)
    answer = Gated(team, policy(ALWAYS)).answer(judged)
    assert answer.facts["outcome"] == "dense"
    assert answer.text == answers["single"].text
    assert answer.cost.prefilled_tokens == answers["single"].cost.prefilled_tokens


def test_the_order_of_the_agents_does_not_show_in_the_signals(team):
    turned = replace(TASK, contexts=TASK.contexts[::-1])
    trials = [try_merge(team, team.read(t), team.question_ids(t)) for t in (TASK, turned)]
    assert trials[0].signals == trials[1].signals


def test_the_trial_of_one_fragment_is_a_prefill_of_its_text():
    team = make_team()
    task = replace(TASK, contexts=TASK.contexts[:1])
    signals = try_merge(team, team.read(task), team.question_ids(task)).signals
    ids = team.token_ids([task.preamble, *task.contexts, task.question])
    count = len(team.question_ids(task))
    with torch.no_grad():
        likely = team.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    losses = [-float(likely[i - 1, ids[i]]) for i in range(len(ids) - count + 1, len(ids))]
    assert signals.question_loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert signals.loss_gain == 0
    assert signals.num_rows == len(ids) - count
    assert (signals.num_fragments, signals.length_ratio, signals.key_gap) == (1, 1, 1)
    top = likely[-1].exp().sort(descending=True).values
    assert signals.support == pytest.approx(float(top[0]), rel=1e-5)
    assert signals.margin == pytest.approx(float((top[0] / top[1]).log()), rel=1e-4)
    entropy = -sum(p * p.log() for p in top)
    assert signals.entropy == pytest.approx(float(entropy), rel=1e-5)


def test_an_example_says_how_every_outcome_ends(team, answers):
    example = collect(team, TASK, lambda text: text == answers["text-merge"].text, NoCache(team))
    assert example.right[Outcome.TEXT]
    same = answers["canonical"].text == answers["text-merge"].text
    assert example.right[Outcome.LATENT] == same
    assert example.is_hurt != same
    trial = 4 * len(team.question_ids(TASK))
    assert example.cost[Outcome.LATENT] == trial
    assert example.cost[Outcome.TEXT] == trial + answers["text-merge"].cost.prefilled_tokens
    assert Outcome.REPAIRED in example.right


def test_a_gate_fitted_where_merges_never_hurt_uses_them(team, answers):
    asked = [replace(TASK, question=q) for q in (TASK.question, "Who sold it?", "Whose barn?")]
    gate = Gated(team, Policy.calibrate([collect(team, task, lambda _: True) for task in asked]))
    answer = gate.answer(TASK)
    assert (answer.facts["outcome"], answer.text) == ("latent", answers["canonical"].text)
