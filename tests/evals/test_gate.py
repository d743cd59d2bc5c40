"""The gate measured: on questions that it was not fitted on, and without flattering itself."""

from __future__ import annotations

import json

import pytest

from latentcrdt.agents.gate import Example as Judged
from latentcrdt.agents.gate import Outcome, Policy, RiskModel, Signals
from latentcrdt.agents.regime import Regime
from latentcrdt.agents.team import Team
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.gate import measure_gate, measure_on_partitioned, report_of
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.partitioned import COMPLETION
from latentcrdt.evals.partitioned.benchmark import Partitioned
from latentcrdt.evals.report.gate import write_gate_report
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

COST = {Outcome.LATENT: 10.0, Outcome.REPAIRED: 20.0, Outcome.TEXT: 40.0}


def example(entropy: float, *, latent: bool, repaired: bool = True, text: bool = True) -> Judged:
    signals = Signals(2, 40, 1.0, 0.1, 0.1, 1.0, 0.0, entropy, 1.0, 0.5)
    right = {Outcome.LATENT: latent, Outcome.REPAIRED: repaired, Outcome.TEXT: text}
    return Judged(signals, right, COST)


TELLING = [example(e, latent=e < 1) for e in (0.1, 0.2, 0.3, 1.7, 1.8, 1.9)] * 10
"""Uncertain merges are the wrong ones."""


def test_a_gate_with_a_telling_signal_is_as_right_as_the_texts_and_cheaper():
    report = report_of(Policy.calibrate(TELLING), TELLING, TELLING, {})
    ways = {way.name: way for way in report.ways}
    assert ways["gated"].accuracy == ways["always text"].accuracy == 1
    assert ways["always latent"].accuracy == 0.5
    # Half of them repaired, which 15 tokens would do; thresholds stay clear of what just fits.
    assert 15 <= ways["gated"].mean_cost < ways["always repaired"].mean_cost
    assert report.outcomes["latent"] > 0
    assert sum(report.outcomes.values()) == 60
    assert report.hurt == 0.5


def test_the_curve_goes_from_the_texts_to_the_merge():
    report = report_of(Policy.calibrate(TELLING), TELLING, TELLING, {})
    first, *_, last = report.curve
    assert (first.latent_share, first.accuracy, first.mean_cost) == (0, 1, 40)
    assert (last.latent_share, last.accuracy, last.mean_cost) == (1, 0.5, 10)


def test_a_risk_that_says_the_opposite_has_a_calibration_error():
    told = [example(e, latent=e < 1) for e in (0.1, 1.9)] * 20
    policy = Policy.calibrate(told)
    turned = [example(e, latent=e > 1) for e in (0.1, 1.9)] * 20
    assert report_of(policy, told, told, {}).calibration_error < 0.2
    assert report_of(policy, told, turned, {}).calibration_error > 0.8


def test_a_fit_to_nothing_predicts_the_base_rate():
    same = [example(0.5, latent=i % 4 > 0) for i in range(40)]
    policy = Policy(RiskModel.fit([e.signals for e in same], [e.is_hurt for e in same]), ())
    report = report_of(policy, same, same, {})
    assert [b.predicted for b in report.bins] == [pytest.approx(0.25, abs=0.01)]
    assert report.calibration_error < 0.01


def test_real_questions_are_answered_in_every_way(tmp_path):
    model = make_model("llama", num_hidden_layers=2, max_position_embeddings=1024)
    loaded = LoadedModel("tiny", model, make_tokenizer())
    seen = []
    report = measure_on_partitioned(
        loaded, Regime(), 2, 3, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(i, 6) for i in range(1, 7)]
    assert report.num_calibration == report.num_judged == 3
    assert sum(report.outcomes.values()) == 3
    write_gate_report(report, tmp_path)
    assert json.loads((tmp_path / "gate.json").read_text())["settings"]["model"] == "tiny"
    assert "always text" in (tmp_path / "gate.md").read_text()
    assert (tmp_path / "gate.svg").read_bytes().startswith(b"<?xml")


def test_a_question_in_both_splits_is_refused():
    team = Team(make_model("llama"), make_tokenizer())
    same = Partitioned(["lookup"], 2, COMPLETION)
    with pytest.raises(InvalidRequestError, match="in one of two splits"):
        measure_gate(team, same, same, 2, {})
