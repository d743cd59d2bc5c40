"""Receipt: a plan, its sort keys and the digests of what it yields (RENDER_SPEC section 7)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.errors import DigestMismatchError

CLOSE_GAP = 1e-3
"""Relative gap of two sort keys below which other hardware may order the captures differently.

Running the same model in bf16 instead of fp32 moves a key by at most 3e-3 (measured on trained
models), so a pair below this is worth showing to whoever audits the render.
"""


@dataclass(frozen=True, slots=True)
class RunDigests:
    """BLAKE3 of the rows ``[H, rows, D]`` that one fragment contributes to one rendered layer."""

    layer: int
    fragment_id: FragmentId
    keys: Digest
    values: Digest


@dataclass(frozen=True, slots=True)
class Receipt:
    """Enough for anyone to verify or audit a render."""

    plan: RenderPlan
    keys: tuple[float, ...]
    """The sort key of each placement, in plan order."""
    digests: tuple[RunDigests, ...]
    """One entry per layer carried and row run of the plan, in stream order."""

    @property
    def close_pairs(self) -> list[tuple[FragmentId, FragmentId, float]]:
        """Neighbours in the canonical order whose keys are within ``CLOSE_GAP``, with the gap."""
        ordered = pairwise(sorted(self._keyed))
        gaps = ((a, b, (y - x) / y if y else 0.0) for (x, a), (y, b) in ordered)
        return [(a, b, gap) for a, b, gap in gaps if gap < CLOSE_GAP]

    @property
    def is_canonical(self) -> bool:
        """Whether the plan's order is that of the keys; otherwise a caller chose it: BagMerge."""
        return sorted(self._keyed) == self._keyed

    def check(self, actual: Sequence[RunDigests]) -> None:
        """Raise DigestMismatchError, naming the first differing section, unless all are equal."""
        if len(actual) != len(self.digests):
            raise DigestMismatchError(
                f"render {self.plan.render_id}: expected {len(self.digests)} section digests, "
                f"got {len(actual)}"
            )
        for index, got in enumerate(actual):
            self.check_section(index, "keys", got.keys)
            self.check_section(index, "values", got.values)

    def check_layer(self, layer: int, actual: Sequence[RunDigests]) -> None:
        """Raise DigestMismatchError, naming the first section of a layer that differs, if any does.

        ``actual`` are the digests from the first layer on, at least to the end of this one.
        """
        first = bisect_left(self.digests, layer, key=_layer_of)
        for index in range(first, bisect_right(self.digests, layer, key=_layer_of)):
            self.check_section(index, "keys", actual[index].keys)
            self.check_section(index, "values", actual[index].values)

    def check_section(self, index: int, part: str, actual: Digest) -> None:
        """Raise DigestMismatchError, naming layer, part and fragment, unless one digest is equal.

        ``index`` counts in ``digests``; ``part`` is ``keys`` or ``values``.
        """
        claimed = self.digests[index]
        expected = claimed.keys if part == "keys" else claimed.values
        if actual != expected:
            raise DigestMismatchError(
                f"render {self.plan.render_id}, layer {claimed.layer}, {part} of fragment "
                f"{claimed.fragment_id}: expected digest {expected}, got {actual}",
                id=str(self.plan.render_id),
                layer=claimed.layer,
                part=part,
                fragment=str(claimed.fragment_id),
                expected=str(expected),
                actual=str(actual),
            )

    @property
    def _keyed(self) -> list[tuple[float, FragmentId]]:
        ids = (p.fragment_id for p in self.plan.placements)
        return list(zip(self.keys, ids, strict=True))


def _layer_of(run: RunDigests) -> int:
    return run.layer
