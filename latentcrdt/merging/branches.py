"""BranchMerge: branches of one prefix, blended into one (FACTS section 6).

The branches are fragments of one class with equal start and length. They are taken in the plan's
order, which is canonical unless a caller chose another; the first is the anchor, whose rows stay
where a strategy does not blend. So the result is a pure function of the set, to the byte, on any
machine: all arithmetic is binary64 by numpy, one operation at a time, in one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Geometry
from latentcrdt.core.header import FragmentHeader, SectionDigests
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.merge_choice import MergeChoice
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.errors import (
    FragmentNotFoundError,
    IncompatibleFragmentsError,
    TooLargeError,
)
from latentcrdt.merging.exact_values import to_bits, to_values
from latentcrdt.merging.strategies import strategy_named
from latentcrdt.merging.strategies.rule import KeysAndValues, Strategy
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.scratch_memory import scratch_memory
from latentcrdt.render.sort_key import check_keys
from latentcrdt.render.tables import Bits

MAX_VALUES = 1 << 24
"""Of the branches, held in binary64 at a time: 128 MiB, and while a rule works, about thrice that.

A rule that looks at whole heads takes all rows of one head, and is refused beyond: 32,768 tokens of
two branches whose keys and values have 128 dimensions."""

PIECE_VALUES = 1 << 17
"""Taken at a time by a rule that looks at single rows: 1 MiB, so that a processor's cache holds it.
"""


class BranchMerge:
    """Blends the branches of a plan by one strategy."""

    def __init__(self, strategy: str, parameters: Mapping[str, float] | None = None) -> None:
        """Take a strategy's name and the parameters that differ from its defaults."""
        self._strategy: Strategy = strategy_named(strategy)
        self._given = dict(parameters or {})

    @classmethod
    def of(cls, choice: MergeChoice) -> BranchMerge:
        """Return the merge that a query asks for; InvalidRequestError if there is none."""
        return cls(choice.strategy, dict(choice.parameters))

    def derivation(self, plan: RenderPlan) -> Derivation:
        """Return the name of what `apply` makes of a plan.

        Raises IncompatibleFragmentsError unless the branches lie at the same positions.
        """
        check_branches(plan)
        parameters = self._strategy.parameters(self._given, len(plan.placements))
        return Derivation.of(
            Operation.MERGE,
            self._strategy.name,
            {name: repr(float(value)) for name, value in parameters.items()},
            plan.class_id,
            tuple(placement.fragment_id for placement in plan.placements),
        )

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        """Return the merged branch: a fragment of the plan's class at the branches' positions.

        Raises as `derivation` does, FragmentNotFoundError for a branch that is not given,
        TooLargeError for heads of more than ``MAX_VALUES``, where a rule takes them whole, and
        NonFiniteKeysError for a result that no render could hold. Memory is bounded, whatever the
        size of the branches: a long body lies in an unnamed file.
        """
        check_branches(plan)
        parameters = self._strategy.parameters(self._given, len(plan.placements))
        branches = [_given(fragments, placement.fragment_id) for placement in plan.placements]
        first = branches[0].header
        geometry = first.geometry
        body = scratch_memory(
            sum(section.size for section in first.sections if section.layer is not None)
        )
        digests = []
        offset = 0
        for layer in range(len(geometry.layers)):
            pair = []
            for section in (first.keys_section(layer), first.values_section(layer)):
                pair.append(body[offset : offset + section.size])
                offset += section.size
            keys, values = (
                _rows(part.data, geometry, layer, name)
                for part, name in zip(pair, ("keys", "values"), strict=True)
            )
            self._write_layer(layer, branches, parameters, (keys, values))
            digests.append(SectionDigests(*(Digest(digest(part.data)) for part in pair)))
        header = FragmentHeader(geometry, first.start, first.seq_len, tuple(digests), first.prefix)
        merged = Fragment(header, body.data.toreadonly())
        check_keys(merged)
        return merged

    def _write_layer(
        self,
        layer: int,
        branches: Sequence[Fragment],
        parameters: Mapping[str, float],
        into: tuple[Bits, Bits],
    ) -> None:
        """Write one layer's merged K ``[H, T, D]`` and V ``[H, T, D_v]``, as bits."""
        geometry = branches[0].header.geometry
        dtype = geometry.dtype
        keys = [_rows(b.keys(layer), geometry, layer, "keys") for b in branches]
        values = [_rows(b.values(layer), geometry, layer, "values") for b in branches]
        num_heads, num_rows, _ = keys[0].shape
        at_once = self._rows_at_once(
            num_rows, len(branches) * (keys[0].shape[2] + values[0].shape[2])
        )
        pieces = [
            (head, slice(row, row + at_once))
            for head in range(num_heads)
            for row in range(0, num_rows, at_once)
        ]

        def heads() -> Iterator[tuple[int, tuple[KeysAndValues, ...]]]:
            for head, rows in pieces:
                pairs = zip(keys, values, strict=True)
                yield (
                    head,
                    tuple(
                        (to_values(k[head, rows], dtype), to_values(v[head, rows], dtype))
                        for k, v in pairs
                    ),
                )

        merged = self._strategy.merged_heads(layer, len(geometry.layers), heads(), parameters)
        with np.errstate(all="ignore"):
            for piece, pair in zip(pieces, merged, strict=True):
                for part, origins, result in zip(into, (keys, values), pair, strict=True):
                    part[piece] = to_bits(result, dtype, [origin[piece] for origin in origins])

    def _rows_at_once(self, num_rows: int, row_values: int) -> int:
        """Return how many rows of a head a rule is given, each of so many values in all branches.

        Where it takes whole heads, all; TooLargeError where these are too many.
        """
        if not self._strategy.takes_whole_heads:
            return max(1, PIECE_VALUES // row_values)
        if num_rows * row_values > MAX_VALUES:
            raise TooLargeError(
                f"merge {self._strategy.name}: looks at all rows of a head at once; expected at "
                f"most {MAX_VALUES // row_values} tokens of these branches, got {num_rows}",
                limit=MAX_VALUES // row_values,
            )
        return num_rows


def check_branches(plan: RenderPlan) -> None:
    """Raise IncompatibleFragmentsError, naming the first misfit, unless branches lie in one place.

    The plan has to be that of layout ``parallel``, in which nothing is moved.
    """
    first = plan.placements[0]
    for placement in plan.placements:
        if (placement.start, placement.seq_len, placement.delta) != (plan.base, first.seq_len, 0):
            raise IncompatibleFragmentsError(
                f"merge: expected branches of {first.seq_len} tokens from {plan.base} in layout "
                f"{Layout.PARALLEL}; {placement.fragment_id} has {placement.seq_len} from "
                f"{placement.start}, placed at {placement.new_start}",
                id=str(placement.fragment_id),
            )


def _given(fragments: Mapping[FragmentId, Fragment], fragment_id: FragmentId) -> Fragment:
    if fragment_id not in fragments:
        raise FragmentNotFoundError(
            f"fragment {fragment_id}: expected it among the branches to merge", id=str(fragment_id)
        )
    return fragments[fragment_id]


def _rows(data: memoryview, geometry: Geometry, layer: int, part: str) -> Bits:
    """Return a section ``[H, T, D]`` as bits, in the memory where it lies."""
    spec = geometry.layers[layer]
    dim = spec.key_dim if part == "keys" else spec.value_dim
    return np.frombuffer(data, UNSIGNED[geometry.dtype]).reshape(spec.num_kv_heads, -1, dim)
