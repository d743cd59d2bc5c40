"""Reports of a calibration: ends, sums and order."""

from itertools import pairwise

import pytest

from latentcrdt.agents.gate import RiskModel, accuracy_cost_curve, calibration_error, reliability
from tests.agents.gate.examples import LATENT, TEXT, made_up


@pytest.fixture(scope="module")
def fitted():
    examples = made_up(200)
    return RiskModel.fit([e.signals for e in examples], [e.is_hurt for e in examples]), examples


def test_the_curve_goes_from_all_text_to_all_latent(fitted):
    first, *_, last = accuracy_cost_curve(*fitted)
    examples = fitted[1]
    for point, outcome, share in ((first, TEXT, 0), (last, LATENT, 1)):
        assert point.latent_share == share
        assert point.accuracy == sum(e.right[outcome] for e in examples) / len(examples)
        assert point.mean_cost == sum(e.cost[outcome] for e in examples) / len(examples)


def test_a_higher_threshold_is_never_dearer_where_latent_is_cheaper(fitted):
    points = accuracy_cost_curve(*fitted)
    costs = [point.mean_cost for point in points]
    assert costs == sorted(costs, reverse=True)
    assert max(point.accuracy for point in points) > points[-1].accuracy


def test_every_example_is_in_one_bin(fitted):
    bins = reliability(*fitted)
    assert sum(one.count for one in bins) == 200
    hurt = sum(e.is_hurt for e in fitted[1])
    assert sum(one.observed * one.count for one in bins) == pytest.approx(hurt)
    assert all(low.predicted < high.predicted for low, high in pairwise(bins))


def test_a_model_of_the_world_is_calibrated_on_other_examples_of_it(fitted):
    assert calibration_error(reliability(fitted[0], made_up(400, seed=7))) < 0.15


def test_the_error_of_a_constant_is_its_distance_from_the_base_rate():
    examples = made_up(100)
    constant = RiskModel(0.0, (0.0,) * 10, (0.0,) * 10, (1.0,) * 10)
    rate = sum(e.is_hurt for e in examples) / 100
    assert calibration_error(reliability(constant, examples)) == pytest.approx(abs(0.5 - rate))
