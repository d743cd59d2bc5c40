"""How well a signal separates cases from others: the receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcrdt.evals.statistics.bootstrap import SEED
from latentcrdt.evals.statistics.interval import LEVEL, Interval

RESAMPLES = 2_000
"""Of pairs, for the interval of an area: its ends vary by under a twentieth of its width."""


@dataclass(frozen=True, slots=True)
class ROC:
    """The curve over all limits above which a signal calls something a case."""

    limits: tuple[float, ...]
    """One for each point: halfway between neighbouring signals, so that none equals it."""
    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    area: float
    """Probability that a case has the greater signal than another (ties count half)."""
    interval: Interval
    """Of the area, under resampling of the clusters."""
    num_cases: int
    num_others: int

    def best_limit(self) -> float:
        """Return the limit at which cases and others are told apart best (Youden's J)."""
        gains = np.subtract(self.true_positive, self.false_positive)
        return self.limits[int(gains.argmax())]


def roc(
    signal: Sequence[float], is_case: Sequence[bool], clusters: Sequence[Hashable]
) -> ROC | None:
    """Return the curve of a signal that is greater for cases; None unless there are both kinds.

    What has the same cluster, such as one pair behind two prefixes, is drawn together.
    """
    cases = np.array(is_case, dtype=float)
    if not 0 < cases.sum() < len(cases):
        return None
    values, at = np.unique(np.array(signal, dtype=float), return_inverse=True)
    counts = np.zeros((2, len(values)))
    np.add.at(counts[0], at, cases)
    np.add.at(counts[1], at, 1 - cases)
    # From the greatest signal down: what each limit calls a case.
    called = np.concatenate([np.zeros((2, 1)), counts[:, ::-1].cumsum(axis=1)], axis=1)
    true_positive, false_positive = called / called[:, -1:]
    between = (values[1:] + values[:-1]) / 2
    limits = [np.nextafter(values[-1], np.inf), *between[::-1], np.nextafter(values[0], -np.inf)]
    return ROC(
        tuple(map(float, limits)),
        tuple(false_positive.tolist()),
        tuple(true_positive.tolist()),
        float(_areas(counts[:1], counts[1:])[0]),
        _interval(at, cases, clusters),
        int(cases.sum()),
        int((1 - cases).sum()),
    )


def _interval(
    at: NDArray[np.int64], cases: NDArray[np.float64], clusters: Sequence[Hashable]
) -> Interval:
    """Return the percentile interval of the area; resamples of one kind alone are left out."""
    number = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    of = np.array([number[cluster] for cluster in clusters])
    rng = np.random.default_rng(SEED)
    size = len(number)
    times = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)  # [RESAMPLES, clusters]
    weights = times[:, of].astype(float)
    order = np.argsort(at, kind="stable")
    starts = np.flatnonzero(np.diff(at[order], prepend=-1))
    kinds = [np.add.reduceat((weights * kind)[:, order], starts, 1) for kind in (cases, 1 - cases)]
    areas = _areas(*kinds)
    low, high = np.nanquantile(areas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def _areas(cases: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's area, from the weights ``[rows, values]`` at ascending signals."""
    below = others.cumsum(axis=1) - others
    wins = (cases * (below + others / 2)).sum(axis=1)
    pairs = cases.sum(axis=1) * others.sum(axis=1)
    return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1), np.nan)
