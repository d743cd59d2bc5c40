"""The second-order bound on the loss of a latent merge, and estimates of what it depends on.

With g the layers above, h_a = (1-a) h_A + a h_B and d = |h_B - h_A|::

    l(g(h_a)) <= (1-a) l_A + a l_B + (G K / 2) a (1-a) d^2 + (beta K^2 / 8) a^2 (1-a)^2 d^4

It adds two steps: g strays from its chord by at most (K / 2) a (1-a) d^2, and the loss, which is
convex, rises by at most G e + (beta / 2) e^2 where logits stray by e. For cross-entropy G and beta
are known; K, the curvature of g, has no known value, so it is estimated from other tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

GRADIENT = math.sqrt(2.0)
"""G: the gradient of cross-entropy by the logits is p - onehot, never longer than this."""

SMOOTHNESS = 0.5
"""beta: the Hessian is diag(p) - p p^T, whose largest eigenvalue never exceeds this."""


@dataclass(frozen=True, slots=True)
class Constants:
    """What is estimated of the layers above the merge."""

    curvature: float
    """K: of the chord, per squared length of the step between the hidden states."""
    slope: float = 0.0
    """L: by how much logits move for each unit that an operator strays from lerp."""


def upper_bound(
    alpha: float,
    losses: tuple[torch.Tensor, torch.Tensor],
    distance: torch.Tensor,
    constants: Constants,
    *,
    head_distance: torch.Tensor | float = 0.0,
    deviation: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Return the bound for each token.

    ``losses`` are those of the two models, ``distance`` is d. ``head_distance`` D says that l_B was
    measured under the second model's own upper layers, whose logits are this far off:
    + a G D + a (beta / 2) D^2. ``deviation`` says how far the operator's result is from that of
    lerp: + G L delta + (beta / 2) L^2 delta^2.
    """
    loss_a, loss_b = losses
    arc = alpha * (1 - alpha) * distance * distance
    bound = (1 - alpha) * loss_a + alpha * loss_b
    bound = bound + GRADIENT * constants.curvature / 2 * arc
    bound = bound + SMOOTHNESS * constants.curvature**2 / 8 * arc * arc
    head = torch.as_tensor(head_distance)
    bound = bound + alpha * (GRADIENT * head + SMOOTHNESS / 2 * head * head)
    strayed = constants.slope * torch.as_tensor(deviation)
    return bound + GRADIENT * strayed + SMOOTHNESS / 2 * strayed * strayed


def curvatures(
    alpha: float,
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    distance: torch.Tensor,
) -> torch.Tensor:
    """Return, token by token, the least K with which g keeps to its chord.

    ``logits`` ``[T, V]`` are those behind h_A, h_B and h_a, all under the first model's layers.
    """
    of_a, of_b, of_merged = logits
    strayed = torch.linalg.vector_norm(of_merged - torch.lerp(of_a, of_b, alpha), dim=-1)
    least: torch.Tensor = 2 * strayed / (alpha * (1 - alpha) * distance * distance)
    return least


def slopes(of_merged: torch.Tensor, of_lerp: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Return, token by token, by how much the logits move per unit of the operator's deviation."""
    moved: torch.Tensor = torch.linalg.vector_norm(of_merged - of_lerp, dim=-1)
    return moved / deviation


def path_length(difference: torch.Tensor) -> torch.Tensor:
    """Return, for each token, the norm of a difference ``[T, D]`` over it and all before it.

    The logits of a token depend on the hidden states of every earlier one.
    """
    return difference.double().square().sum(-1).cumsum(0).sqrt()
