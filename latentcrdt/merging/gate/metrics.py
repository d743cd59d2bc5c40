"""The figures of a merge (FACTS section 6), from next-token distributions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcrdt.merging.sums import cosine

Distributions = NDArray[np.float64]
"""Next-token probabilities ``[probes, vocabulary]`` behind one cache."""

MOST_PREDICTED = 20
"""Tokens a branch, where the branches' words do not tell them apart."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a merge does to the predictions; each an average over the probes."""

    mass_a: float
    """Probability of the tokens that occur only in branch A."""
    mass_b: float
    entropy_change: float
    """H(merged) - (H(A) + H(B)) / 2, in nats."""
    mass_share: float
    """Branch mass of the merge, in units of the mean of what A and B give their own tokens."""

    @property
    def balance(self) -> float:
        """log(mass_A / mass_B): 0 where both branches are carried alike."""
        return float(np.log(self.mass_a) - np.log(self.mass_b))

    @property
    def branch_mass(self) -> float:
        """Probability of the tokens of either branch."""
        return self.mass_a + self.mass_b


@dataclass(frozen=True, slots=True)
class Tokens:
    """The discriminative tokens of two branches."""

    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    are_lexical: bool
    """Whether they are the branches' own words, or what the branches alone make likely."""

    @classmethod
    def of(
        cls,
        a_ids: tuple[int, ...],
        b_ids: tuple[int, ...],
        alone_a: Distributions,
        alone_b: Distributions,
    ) -> Tokens:
        """Return the tokens that occur in one branch only.

        Branches that differ in the order of their words have none: then the `MOST_PREDICTED` tokens
        whose probability is raised most by one branch against the other.
        """
        only_a, only_b = set(a_ids) - set(b_ids), set(b_ids) - set(a_ids)
        if only_a and only_b:
            return cls(tuple(sorted(only_a)), tuple(sorted(only_b)), are_lexical=True)
        difference = (alone_a - alone_b).mean(axis=0)
        order = np.argsort(difference, kind="stable")
        return cls(
            tuple(sorted(order[-MOST_PREDICTED:].tolist())),
            tuple(sorted(order[:MOST_PREDICTED].tolist())),
            are_lexical=False,
        )


def metrics_of(
    merged: Distributions, alone_a: Distributions, alone_b: Distributions, tokens: Tokens
) -> Metrics:
    """Return the figures of one merge beside those of its branches alone."""
    own = _mass(alone_a, tokens.only_a) + _mass(alone_b, tokens.only_b)
    mass_a, mass_b = _mass(merged, tokens.only_a), _mass(merged, tokens.only_b)
    return Metrics(
        mass_a,
        mass_b,
        entropy(merged) - (entropy(alone_a) + entropy(alone_b)) / 2,
        (mass_a + mass_b) / (own / 2),
    )


def entropy(distributions: Distributions) -> float:
    """Return the mean entropy over the probes, in nats."""
    positive = np.where(distributions > 0, distributions, 1.0)
    return float(-(distributions * np.log(positive)).sum(axis=-1).mean())


def late_value_cosine(a: Sequence[NDArray[np.float64]], b: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean cosine of two branches' values, row by row, in the upper half of layers.

    ``a``, ``b``: the values ``[H, T, D]`` of each layer.
    """
    late = range(len(a) // 2, len(a))
    return float(np.mean([cosine(a[i], b[i], -1).mean() for i in late]))


def _mass(distributions: Distributions, tokens: tuple[int, ...]) -> float:
    return float(distributions[:, list(tokens)].sum(axis=-1).mean())
