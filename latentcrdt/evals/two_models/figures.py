"""The figures of one setting: geometry by layer, and the bound held against the observed loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from latentcrdt.evals.two_models.observe import Observation, Text
from latentcrdt.evals.two_models.record import Bounded, LayerGeometry
from latentcrdt.merging.models.bound import (
    Constants,
    curvatures,
    path_length,
    slopes,
    upper_bound,
)
from latentcrdt.merging.models.geometry import arc_ratio, linear_cka, midness

QUANTILES = (0.5, 0.9, 1.0)
"""Of the constants that tokens of the first half of the texts ask for; 1 is their greatest."""


def geometry(
    base: Observation, tuned: Observation, merged: Observation, first_layer: int
) -> tuple[LayerGeometry, ...]:
    """Return the geometry of each layer from ``first_layer`` on; below, nothing was merged."""
    found = []
    for layer in range(first_layer, len(merged.hidden)):
        a, b, m = (torch.cat(o.hidden[layer]) for o in (base, tuned, merged))  # [N, D]
        ratio = arc_ratio(a, b, m)
        # The very first token may be alike in both models: it has no way from one to the other.
        ratio = ratio[ratio.isfinite()]
        found.append(
            LayerGeometry(
                float(midness(a, b, m).median()),
                float(ratio.median()) if len(ratio) else 0.0,
                float((ratio - 0.5).abs().median()) if len(ratio) else 0.0,
                linear_cka(m, a),
                linear_cka(m, b),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """The bound of one merge, held against what was observed."""

    layer: int
    alpha: float
    observed: Mapping[str, Observation]
    """``base`` and ``tuned`` alone, ``foreign`` (the tuned model's hidden states under the base
    model's upper layers), ``lerp``, and ``merged`` by the operator in question."""

    def run(self, texts: Sequence[Text]) -> tuple[Bounded, ...]:
        """Return how it holds on every other text, with constants estimated on the others."""
        asked = [self._needed(i, texts[i]) for i in range(0, len(texts), 2)]
        needed, slope = (torch.cat(parts) for parts in zip(*asked, strict=True))
        found = []
        for quantile in QUANTILES:
            constants = Constants(_quantile(needed, quantile), _quantile(slope, quantile))
            judged = [self._slack(i, texts[i], constants) for i in range(1, len(texts), 2)]
            slacks = [torch.cat(parts) for parts in zip(*judged, strict=True)]
            found.append(
                Bounded(
                    quantile,
                    constants.curvature,
                    constants.slope,
                    *(
                        figure
                        for slack in slacks
                        for figure in (float((slack < 0).double().mean()), float(slack.median()))
                    ),
                )
            )
        return tuple(found)

    def _needed(self, index: int, text: Text) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the curvature and the slope that each kept token asks for."""
        distance, deviation = self._lengths(index, text)
        of_a, of_b, of_lerp, of_merged = (
            self._logits(name, index) for name in ("base", "foreign", "lerp", "merged")
        )
        needed = curvatures(self.alpha, (of_a, of_b, of_lerp), distance)
        # A first token that both models see alike has no way to stray.
        moved = torch.where(deviation > 0, slopes(of_merged, of_lerp, deviation), 0.0)
        return torch.where(distance > 0, needed, 0.0), moved

    def _slack(
        self, index: int, text: Text, constants: Constants
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return by how much the bounds exceed the loss of each kept token.

        The first is without a foreign head, the second with it.
        """
        distance, deviation = self._lengths(index, text)
        losses = {name: seen.losses(index, text).double() for name, seen in self.observed.items()}
        heads = self._logits("foreign", index) - self._logits("tuned", index)
        own, foreign = (
            upper_bound(
                self.alpha,
                (losses["base"], losses[second]),
                distance,
                constants,
                head_distance=head_distance,
                deviation=deviation,
            )
            for second, head_distance in (
                ("foreign", 0.0),
                ("tuned", torch.linalg.vector_norm(heads, dim=-1)),
            )
        )
        return own - losses["merged"], foreign - losses["merged"]

    def _lengths(self, index: int, text: Text) -> tuple[torch.Tensor, torch.Tensor]:
        """Return d and the operator's deviation from lerp, behind each kept prediction."""
        of = {name: seen.hidden[self.layer][index] for name, seen in self.observed.items()}
        kept = slice(-text.num_kept - 1, -1)
        distance = path_length(of["tuned"] - of["base"])[kept]
        return distance, path_length(of["merged"] - of["lerp"])[kept]

    def _logits(self, name: str, index: int) -> torch.Tensor:
        return self.observed[name].logits[index].double()


def _quantile(values: torch.Tensor, quantile: float) -> float:
    return float(values.quantile(quantile))
