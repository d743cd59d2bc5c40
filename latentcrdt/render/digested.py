"""Digest runs of rows while they are written, so that a receipt need not turn them again."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import TypeAlias

from latentcrdt.core.encoding import Hasher
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.plan import RowRun
from latentcrdt.render.rows import Rows
from latentcrdt.render.tables import Bits

RunName: TypeAlias = tuple[FragmentId, int, int, int]
"""Fragment, layer, delta, first row: all that the bytes of a run of keys depend on."""

KeysDigests: TypeAlias = MutableMapping[RunName, Digest]
"""Known digests of runs of keys."""

SMALL_BYTES = 32 << 10
"""Of a head: fewer are gathered first, since BLAKE3 is slow on pieces, most of all on odd ones."""


def run_name(layer: int, run: RowRun) -> RunName:
    """Return what a run of keys is known by, in whatever render it stands."""
    return run.placement.fragment_id, layer, run.placement.delta, run.first_row


@dataclass(slots=True)
class _RunHash:
    """The hash of one run ``[H, rows, D]``, taken in as it is written."""

    left: int
    """Bytes that are still to come."""
    hasher: Hasher = field(default_factory=Hasher)


class SectionDigests:
    """The digests of some of a section's runs."""

    def __init__(self, section: Rows, runs: Iterable[int]) -> None:
        self._section = section
        head_bytes = section.num_heads * section.row_bytes
        num_rows = section.run_rows.tolist()
        self._open = {run: _RunHash(num_rows[run] * head_bytes) for run in runs}
        self._finished: list[tuple[int, Digest]] = []

    def absorb(self, rows: range, written: Bits) -> None:
        """Hash ``[heads, rows, D]`` of the section; heads come in order, and rows within a head."""
        if not self._open:
            return
        for run, part in self._section.parts(rows, written):
            hashed = self._open.get(run)
            if hashed is None:
                continue
            if part.flags.c_contiguous:
                hashed.hasher.update(part.data.cast("B"))
            elif part.nbytes < SMALL_BYTES * len(part):
                hashed.hasher.update(part.tobytes())
            else:
                for head in part:
                    hashed.hasher.update(head.data.cast("B"))
            hashed.left -= part.nbytes
            if not hashed.left:
                self._finished.append((run, Digest(hashed.hasher.digest())))
                del self._open[run]

    def finished(self) -> list[tuple[int, Digest]]:
        """Return the runs whose last byte was absorbed since the last call, with their digests."""
        finished, self._finished = self._finished, []
        return finished
