import pytest

from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.errors import InvalidRequestError


def test_latent_rows_alone_need_a_latent_step() -> None:
    with pytest.raises(InvalidRequestError, match="at least one latent step"):
        Regime(rows=Rows.LATENT)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least 0, got -1"):
        Regime(num_steps=-1)


def test_every_regime_has_a_name_of_its_own() -> None:
    regimes = [
        Regime(rows, visible, prefix, steps)
        for rows in Rows
        for visible in (False, True)
        for prefix in (False, True)
        for steps in (1, 10)
    ]
    assert len({regime.name for regime in regimes}) == len(regimes)
