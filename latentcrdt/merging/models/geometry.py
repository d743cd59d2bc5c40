"""Where a merge lies between two models' hidden states, and how like theirs a layer still is.

Angles are in float64: the hidden states of a model and its fine-tune may be 10^-4 apart.
"""

from __future__ import annotations

import torch

from latentcrdt.merging.sums import norm
from latentcrdt.merging.trigonometry import angle_between

EPSILON = 1e-12
"""Keeps midness defined where both models agree; far below any distance that is measured."""


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the angles in [0, pi] between rows ``[..., D]``; 0 where either is zero."""
    units = [x.double() / norm(x.double(), -1).clamp_min(1e-300) for x in (a, b)]
    chord, cochord = norm(units[0] - units[1], -1), norm(units[0] + units[1], -1)
    both = (norm(units[0], -1) > 0) & (norm(units[1], -1) > 0)
    angles: torch.Tensor = torch.where(both, angle_between(chord, cochord), 0.0)[..., 0]
    return angles


def cosine_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return 1 - cos of the rows, without the cancellation that this difference would suffer."""
    half = torch.sin(angle(a, b) / 2)
    return 2 * half * half


def midness(a: torch.Tensor, b: torch.Tensor, merged: torch.Tensor) -> torch.Tensor:
    """Return 1 - |d(M,A) - d(M,B)| / (d(A,B) + eps) with cosine distance: 1 is in the middle."""
    apart = (cosine_distance(merged, a) - cosine_distance(merged, b)).abs()
    return 1 - apart / (cosine_distance(a, b) + EPSILON)


def arc_ratio(a: torch.Tensor, b: torch.Tensor, merged: torch.Tensor) -> torch.Tensor:
    """Return angle(A, M) / angle(A, B): how far along the way M lies; NaN where A and B agree."""
    return angle(a, merged) / angle(a, b)


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the linear centred kernel alignment of two sets of rows ``[N, D]`` and ``[N, E]``.

    |Xc^T Yc|^2 / (|Xc^T Xc| |Yc^T Yc|), in [0, 1]: 1 where one is a rotation and scaling of the
    other; 0 where either does not vary (Kornblith et al. 2019).
    """
    x, y = ((rows.double() - rows.double().mean(0)).float() for rows in (x, y))
    own = torch.linalg.matrix_norm(x.T @ x) * torch.linalg.matrix_norm(y.T @ y)
    if own == 0:
        return 0.0
    return float(torch.linalg.matrix_norm(x.T @ y) ** 2 / own)
