"""The risk model: at the minimum that it was to find, and no further than the data go."""

import numpy as np
import pytest

from latentcrdt.agents.gate import RiskModel
from latentcrdt.agents.gate.risk import RIDGE
from latentcrdt.errors import InvalidRequestError
from tests.agents.gate.examples import made_up


def objective(weights, features, hurt):
    """Return the penalised loss by its definition, with no tricks."""
    scores = weights[0] + features @ weights[1:]
    likelihood = sum(
        np.log1p(np.exp(-score)) if h else np.log1p(np.exp(score))
        for score, h in zip(scores, hurt, strict=True)
    )
    return likelihood + RIDGE / 2 * (np.sum(weights[1:] ** 2) + weights[0] ** 2 / 1000)


def test_no_other_coefficients_have_a_smaller_loss():
    examples = made_up(60)
    signals, hurt = [e.signals for e in examples], [e.is_hurt for e in examples]
    model = RiskModel.fit(signals, hurt)
    raw = np.array([s.features() for s in signals])
    features = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    found = np.array([model.intercept, *model.coefficients])
    least = objective(found, features, hurt)
    random = np.random.default_rng(0)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            other = found + scale * random.standard_normal(len(found))
            assert objective(other, features, hurt) > least


def test_a_signal_that_tells_raises_the_risk():
    examples = made_up(300)
    model = RiskModel.fit([e.signals for e in examples], [e.is_hurt for e in examples])
    names = list(examples[0].signals.document())
    strongest = int(np.abs(model.coefficients).argmax())
    assert names[strongest] == "entropy"
    assert model.coefficients[strongest] > 0


@pytest.mark.parametrize("hurt", [False, True])
def test_where_all_examples_are_of_one_kind_the_risk_is_nearly_that(hurt):
    signals = [e.signals for e in made_up(40)]
    model = RiskModel.fit(signals, [hurt] * 40)
    assert all(abs(model.probability(s) - hurt) < 0.02 for s in signals)


def test_a_signal_that_never_varies_gets_no_weight():
    signals = [made_up(1)[0].signals] * 4
    model = RiskModel.fit(signals, [True, False, True, False])
    assert model.probability(signals[0]) == pytest.approx(0.5)
    assert not any(model.coefficients)


def test_no_examples_are_refused():
    with pytest.raises(InvalidRequestError, match="at least one example"):
        RiskModel.fit([], [])
