"""Where the rows of a render come from: fragments, or an earlier render that has them turned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RowRun
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.errors import FragmentNotFoundError
from latentcrdt.render.rows import Rows, keys_rows, section_rows, values_rows


class RowSource(Protocol):
    """Finds the rows that a run of a plan takes up."""

    def keys(self, layer: int, run: RowRun) -> Rows:
        """Return the run's K ``[H, rows, D]``, with the table that is still to turn it."""

    def values(self, layer: int, run: RowRun) -> Rows:
        """Return the run's V ``[H, rows, D_v]``."""


class FragmentRows:
    """Takes every row from its fragment."""

    def __init__(self, fragments: Mapping[FragmentId, Fragment]) -> None:
        self._fragments = fragments

    def keys(self, layer: int, run: RowRun) -> Rows:
        """Return the run's K as captured, to be turned by its delta."""
        return keys_rows(self._find(run), layer, run)

    def values(self, layer: int, run: RowRun) -> Rows:
        """Return the run's V."""
        return values_rows(self._find(run), layer, run)

    def _find(self, run: RowRun) -> Fragment:
        fragment_id = run.placement.fragment_id
        try:
            return self._fragments[fragment_id]
        except KeyError as error:
            raise FragmentNotFoundError(
                f"fragment {fragment_id}: expected its bytes among those to render",
                id=str(fragment_id),
            ) from error


class ReusedRows:
    """Takes the rows that an earlier render holds from there, the others from another source.

    A copy of turned keys is as good as turning them again: it is the same one rotation. An earlier
    render is believed; it must have been made here, or verified against a receipt.
    """

    def __init__(self, reuse: Reuse, previous: Render, others: RowSource) -> None:
        assert previous.plan == reuse.previous
        self._reuse = reuse
        self._previous = previous
        self._others = others

    def keys(self, layer: int, run: RowRun) -> Rows:
        """Return the run's K: turned already, or to be turned."""
        row = self._reuse.keys_row(layer, run)
        if row is None:
            return self._others.keys(layer, run)
        dim = self._previous.plan.geometry.layers[layer].key_dim
        return self._copied(self._previous.keys(layer), layer, dim, row, run)

    def values(self, layer: int, run: RowRun) -> Rows:
        """Return the run's V."""
        row = self._reuse.values_row(layer, run)
        if row is None:
            return self._others.values(layer, run)
        dim = self._previous.plan.geometry.layers[layer].value_dim
        return self._copied(self._previous.values(layer), layer, dim, row, run)

    def _copied(self, section: memoryview, layer: int, dim: int, row: int, run: RowRun) -> Rows:
        plan = self._previous.plan
        shape = (plan.num_rows(layer), dim)
        return section_rows(section, shape, plan.geometry.dtype, row, run.num_rows)
