"""Digest turned keys while they are written, so that a receipt need not turn them again."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import TypeAlias

from latentcrdt.core.encoding import Hasher
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.plan import RowRun
from latentcrdt.render.rows import Rows
from latentcrdt.render.sources import RowSource
from latentcrdt.render.tables import Bits

RunName: TypeAlias = tuple[FragmentId, int, int, int]
"""Fragment, layer, delta, first row: all that the bytes of a run of keys depend on."""

KeysDigests: TypeAlias = MutableMapping[RunName, Digest]
"""Known digests of runs of keys."""


def run_name(layer: int, run: RowRun) -> RunName:
    """Return what a run of keys is known by, in whatever render it stands."""
    return run.placement.fragment_id, layer, run.placement.delta, run.first_row


class DigestedRows:
    """Passes on another source's rows, and notes the digest of every run that is turned."""

    def __init__(self, source: RowSource, known: KeysDigests) -> None:
        self._source = source
        self._known = known

    def keys(self, layer: int, run: RowRun) -> Rows:
        """Return the run's K; its digest is known once all of it was written, in order."""
        rows = self._source.keys(layer, run)
        name = run_name(layer, run)
        if rows.table is None or self._known.get(name) is not None:
            return rows
        return replace(rows, on_written=_RunDigest(name, rows.bits.nbytes, self._known).absorb)

    def values(self, layer: int, run: RowRun) -> Rows:
        """Return the run's V, whose digest is in its fragment's header."""
        return self._source.values(layer, run)


class _RunDigest:
    """The hash of one run, taken in head by head."""

    def __init__(self, name: RunName, num_bytes: int, known: KeysDigests) -> None:
        self._name = name
        self._left = num_bytes
        self._known = known
        self._hasher = Hasher()

    def absorb(self, written: Bits) -> None:
        """Hash ``[heads, rows, D]``; a run that is cut off before its end is not noted."""
        for head in written:
            self._hasher.update(head.data.cast("B"))
        self._left -= written.nbytes
        if not self._left:
            self._known[self._name] = Digest(self._hasher.digest())
