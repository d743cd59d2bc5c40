"""What of a render an earlier render holds already: two plans compared, before any byte is read.

Reuse is local: which earlier render a machine happens to hold is no property of the new one, so no
receipt speaks of it. It follows from the two plans, so nothing has to record it either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan, RowRun


@dataclass(frozen=True, slots=True)
class RunReuse:
    """Whether one row run of a plan stands in the earlier render: the rows of one receipt entry."""

    layer: int
    run: RowRun
    keys: bool
    values: bool


# Not slotted: cached_property keeps where the earlier render has its rows.
@dataclass(frozen=True)
class Reuse:
    """The row runs of ``plan`` that a render by the plan ``previous`` holds, turned alike.

    Rows are the same where fragment and delta are: V has no delta, and neither have layers without
    rope. The shared rows are copied as they stand; nothing that was turned is turned again.
    """

    plan: RenderPlan
    previous: RenderPlan

    def keys_row(self, layer: int, run: RowRun) -> int | None:
        """Return the row of the earlier K section at which the run's rows begin, or None."""
        found = self._held[layer].get(run.placement.fragment_id)
        if found is None:
            return None
        turns = self.plan.geometry.layers[layer].rope is not None
        if turns and found[1].placement.delta != run.placement.delta:
            return None
        return _row_within(run, *found)

    def values_row(self, layer: int, run: RowRun) -> int | None:
        """Return the row of the earlier V section at which the run's rows begin, or None."""
        found = self._held[layer].get(run.placement.fragment_id)
        return None if found is None else _row_within(run, *found)

    @cached_property
    def runs(self) -> tuple[RunReuse, ...]:
        """Every row run of the plan, in the order of its receipt."""
        return tuple(
            RunReuse(
                layer,
                run,
                keys=self.keys_row(layer, run) is not None,
                values=self.values_row(layer, run) is not None,
            )
            for layer in range(self.plan.layers.first, self.plan.layers.stop)
            for run in self.plan.runs(layer)
        )

    @property
    def lacking(self) -> list[FragmentId]:
        """The fragments, each once, whose bytes the render needs beside the earlier one's."""
        needed = (r.run.placement.fragment_id for r in self.runs if not (r.keys and r.values))
        return list(dict.fromkeys(needed))

    @property
    def reused_bytes(self) -> int:
        """Bytes of the body that the earlier render holds."""
        geometry = self.plan.geometry
        total = 0
        for r in self.runs:
            row_bytes = r.keys * geometry.key_row_bytes(r.layer)
            row_bytes += r.values * geometry.value_row_bytes(r.layer)
            total += geometry.layers[r.layer].num_kv_heads * r.run.num_rows * row_bytes
        return total

    @cached_property
    def _held(self) -> list[dict[FragmentId, tuple[int, RowRun]]]:
        """By layer and fragment: the first row of its run in the earlier section, and that run."""
        held: list[dict[FragmentId, tuple[int, RowRun]]] = [{} for _ in self.plan.geometry.layers]
        if self.previous.geometry != self.plan.geometry:
            return held
        for layer in range(self.previous.layers.first, self.previous.layers.stop):
            first = 0
            for run in self.previous.runs(layer):
                held[layer][run.placement.fragment_id] = first, run
                first += run.num_rows
        return held


def _row_within(run: RowRun, first: int, earlier: RowRun) -> int | None:
    """Return the row of the earlier section where ``run`` begins, if ``earlier`` holds all of it.

    Every run goes to the end of its fragment's section, so only its beginning has to be there.
    """
    skipped = run.first_row - earlier.first_row
    return first + skipped if skipped >= 0 else None
