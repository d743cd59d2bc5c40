"""The matrix of regimes: every one that makes sense, and names for parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.errors import InvalidRequestError

EVERY = "every"
"""The name of all regimes."""

BUDGETS = (0, 5, 10, 20, 40, 80)
"""Latent steps of each agent that are tried unless others are asked for."""


def regimes(
    names: Iterable[str], budgets: Sequence[int], *, has_preamble: bool = True
) -> tuple[Regime, ...]:
    """Return the regimes of names such as ``all-hidden-alone``, each at every budget.

    A name may leave words out: ``latent`` stands for all regimes with latent rows alone, ``every``
    for all there are. Without a preamble, which all agents would share, there is no shared prefix.
    Raises InvalidRequestError for an unknown word, or when nothing is left, as of latent rows
    without a latent step.
    """
    every = [r for r in _every(budgets) if has_preamble or not r.shared_prefix]
    known = {word for regime in _every([1]) for word in _words(regime)}
    chosen: dict[Regime, None] = {}
    for name in names:
        words = set() if name == EVERY else set(name.split("-"))
        if not words <= known:
            raise InvalidRequestError(
                f"regime: expected {EVERY!r} or words of {sorted(known)}, got {name!r:.80}"
            )
        chosen |= {regime: None for regime in every if words <= _words(regime)}
    if not chosen:
        raise InvalidRequestError(
            f"regimes {list(names)} with budgets {list(budgets)}: expected at least one that makes "
            f"sense (latent rows need latent steps, a shared prefix needs a preamble), got none"
        )
    return tuple(chosen)


def _every(budgets: Sequence[int]) -> Iterator[Regime]:
    for rows, visible, prefix in product(Rows, (False, True), (False, True)):
        for num_steps in budgets:
            if num_steps > 0 or rows is not Rows.LATENT:
                yield Regime(rows, visible, prefix, num_steps)


def _words(regime: Regime) -> set[str]:
    """Return the words of a regime's name but the budget."""
    return set(regime.name.split("-")[:-1])
