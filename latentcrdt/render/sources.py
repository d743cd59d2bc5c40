"""Where the rows of a render come from: fragments, or an earlier render that has them turned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan, RowRun
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.errors import FragmentNotFoundError, TruncatedError
from latentcrdt.render.many_tables import RotationTables, rotation_tables
from latentcrdt.render.rows import VERBATIM, Buffers, Rows

Part: TypeAlias = Literal["keys", "values"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerRuns:
    """The row runs of every layer that has one window."""

    runs: Sequence[RowRun]
    placed: slice
    """Which of the plan's placements, prefixes first: the last ones."""
    sources: NDArray[np.int64]
    """``[runs]``: the same, by number."""
    held: NDArray[np.int64]
    """``[runs]``: rows that a head of the fragment's section has."""
    skipped: NDArray[np.int64]
    """``[runs]``: of these, rows that stand before the run."""
    bounds: NDArray[np.int64]
    """``[runs + 1]``: rows of the rendered section."""

    @classmethod
    def of(cls, plan: RenderPlan, layer: int) -> LayerRuns:
        """Return the runs of a layer of a plan."""
        runs = plan.runs(layer)
        num_placed = len(plan.prefixes) + len(plan.placements)
        placed = slice(num_placed - len(runs), num_placed)
        return cls(
            runs,
            placed,
            np.arange(placed.start, placed.stop),
            np.array([run.section_rows for run in runs], np.int64),
            np.array([run.first_row for run in runs], np.int64),
            np.cumsum([0, *(run.num_rows for run in runs)], dtype=np.int64),
        )


class SectionSource:
    """Finds the rows of a plan's sections.

    What does not depend on the layer (runs, addresses, tables) is found once a render. A copy of
    keys that an earlier render holds turned is as good as turning them again: it is the same one
    rotation. An earlier render is believed; it must have been made here, or verified against a
    receipt.
    """

    def __init__(
        self,
        plan: RenderPlan,
        fragments: Mapping[FragmentId, Fragment],
        earlier: Render | None = None,
    ) -> None:
        self._plan = plan
        self._placed = (*plan.prefixes, *plan.placements)
        found = [fragments.get(placement.fragment_id) for placement in self._placed]
        self._lacks = np.array([fragment is None for fragment in found])
        bodies = [memoryview(b"") if fragment is None else fragment.body for fragment in found]
        self._reuse = None if earlier is None else Reuse(plan, earlier.plan)
        self._buffers = Buffers.of(
            bodies if earlier is None else [*bodies, earlier.body],
            tuple(placement.fragment_id for placement in self._placed),
        )
        self._seq_lens = np.array([p.seq_len for p in self._placed], np.int64)
        deltas = np.array([p.delta for p in self._placed], np.int64)
        self._deltas, table_rows = np.unique(deltas[deltas != 0], return_inverse=True)
        self._verbatim = np.full(len(deltas), VERBATIM, np.int64)
        self._table_rows = self._verbatim.copy()
        self._table_rows[deltas != 0] = table_rows
        self._tables: dict[int, RotationTables] = {}
        self._runs: dict[int | None, LayerRuns] = {}
        self._nothing = np.zeros_like(self._seq_lens)
        self._known_starts = 0, self._nothing
        """A layer, and where it begins in the body of each placed fragment."""
        self._is_whole = earlier is None and bool((self._buffers.sizes >= self._sizes()).all())
        """Whether every fragment is here, with as many bytes as the plan says of it."""

    def runs(self, layer: int) -> LayerRuns:
        """Return the runs of a layer's two sections."""
        window = self._plan.geometry.layers[layer].window
        if window not in self._runs:
            self._runs[window] = LayerRuns.of(self._plan, layer)
        return self._runs[window]

    def keys(self, layer: int) -> Rows:
        """Return a layer's K, each run with the table that is still to turn it.

        Raises FragmentNotFoundError or TruncatedError for a fragment whose rows are needed.
        """
        geometry = self._plan.geometry
        rope = geometry.layers[layer].rope
        if rope is None or not len(self._deltas):
            return self._section(layer, "keys", None)
        if rope not in self._tables:
            ropes = geometry.ropes
            self._tables[rope] = rotation_tables(ropes[rope], self._deltas, geometry.dtype)
        return self._section(layer, "keys", self._tables[rope])

    def values(self, layer: int) -> Rows:
        """Return a layer's V, which no position changes; raises as `keys` does."""
        return self._section(layer, "values", None)

    def _section(self, layer: int, part: Part, tables: RotationTables | None) -> Rows:
        """Return a section where it lies in the fragments, or in the earlier render."""
        geometry, runs = self._plan.geometry, self.runs(layer)
        spec = geometry.layers[layer]
        dim = spec.key_dim if part == "keys" else spec.value_dim
        row_bytes = dim * geometry.dtype.itemsize
        section = Rows(
            geometry.dtype,
            spec.num_kv_heads,
            dim,
            self._buffers,
            runs.sources,
            self._starts(layer, part)[runs.placed] + runs.skipped * row_bytes,
            runs.held * row_bytes,
            runs.bounds,
            self._verbatim[runs.placed] if tables is None else self._table_rows[runs.placed],
            tables,
        )
        if self._reuse is not None:
            section = self._with_reused(section, layer, part, self._reuse)
        if not self._is_whole:
            self._check(section)
        return section

    def _with_reused(self, section: Rows, layer: int, part: Part, reuse: Reuse) -> Rows:
        """Return the section with the rows that the earlier render has taken from there."""
        row_of = reuse.keys_row if part == "keys" else reuse.values_row
        rows = [row_of(layer, run) for run in self.runs(layer).runs]
        held = np.array([row is not None for row in rows])
        if not held.any():
            return section
        start = _stream_offset(reuse.previous, layer, part)
        earlier = np.array([start + (row or 0) * section.row_bytes for row in rows], np.int64)
        return replace(
            section,
            sources=np.where(held, len(self._placed), section.sources),
            offsets=np.where(held, earlier, section.offsets),
            head_bytes=np.where(
                held, reuse.previous.num_rows(layer) * section.row_bytes, section.head_bytes
            ),
            table_rows=np.where(held, VERBATIM, section.table_rows),
        )

    def _starts(self, layer: int, part: Part) -> NDArray[np.int64]:
        """Return where a section begins in the body of each placed fragment, ``[placed]``."""
        geometry = self._plan.geometry
        # Layers are asked for in order: from the one before it is one step.
        known, starts = self._known_starts if layer >= self._known_starts[0] else (0, self._nothing)
        for i in range(known, layer):
            row_bytes = geometry.key_row_bytes(i) + geometry.value_row_bytes(i)
            starts = starts + self._head_rows(i) * row_bytes
        self._known_starts = layer, starts
        if part == "values":
            starts = starts + self._head_rows(layer) * geometry.key_row_bytes(layer)
        return starts

    def _head_rows(self, layer: int) -> NDArray[np.int64]:
        """Return the rows of all heads of a layer that each placed fragment holds, ``[placed]``."""
        spec = self._plan.geometry.layers[layer]
        return _kept_rows(spec.window, self._seq_lens) * spec.num_kv_heads

    def _sizes(self) -> NDArray[np.int64]:
        """Return how long the plan says that the body of each placed fragment is, ``[placed]``."""
        geometry = self._plan.geometry
        row_bytes: Counter[int | None] = Counter()
        """Of a row of all layers that have one window."""
        for i, spec in enumerate(geometry.layers):
            both = geometry.key_row_bytes(i) + geometry.value_row_bytes(i)
            row_bytes[spec.window] += spec.num_kv_heads * both
        return sum(
            (_kept_rows(window, self._seq_lens) * size for window, size in row_bytes.items()),
            self._nothing,
        )

    def _check(self, section: Rows) -> None:
        """Raise for the first fragment that is not there, or not whole, of those needed."""
        short = np.flatnonzero(section.ends > section.buffers.sizes[section.sources])
        if not len(short):
            return
        source = int(section.sources[short[0]])
        size, end = int(section.buffers.sizes[source]), int(section.ends[short[0]])
        if source == len(self._placed):
            raise TruncatedError(
                f"earlier render: expected a body of at least {end} bytes, got {size}"
            )
        fragment_id = self._placed[source].fragment_id
        if self._lacks[source]:
            raise not_given(fragment_id)
        raise TruncatedError(
            f"fragment {fragment_id}: expected a body of at least {end} bytes, got {size}",
            id=str(fragment_id),
            expected=end,
            actual=size,
        )


def not_given(fragment_id: FragmentId) -> FragmentNotFoundError:
    """Return what to raise for a fragment that is needed and not there."""
    return FragmentNotFoundError(
        f"fragment {fragment_id}: expected its bytes among those to render", id=str(fragment_id)
    )


def _kept_rows(window: int | None, seq_lens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what `LayerSpec.rows` says of each length."""
    return seq_lens if window is None else np.minimum(seq_lens, window - 1)


def _stream_offset(plan: RenderPlan, layer: int, part: Part) -> int:
    """Return where a section begins in the body of a render."""
    carried = range(plan.layers.first, layer)
    before = sum(plan.keys_bytes(i) + plan.values_bytes(i) for i in carried)
    return before + (plan.keys_bytes(layer) if part == "values" else 0)
