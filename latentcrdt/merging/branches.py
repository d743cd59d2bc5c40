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
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.errors import IncompatibleFragmentsError
from latentcrdt.merging.exact_values import to_bits, to_values
from latentcrdt.merging.strategies import strategy_named
from latentcrdt.merging.strategies.rule import KeysAndValues, Strategy
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.scratch_memory import scratch_memory
from latentcrdt.render.sort_key import check_keys
from latentcrdt.render.tables import Bits


class BranchMerge:
    """Blends the branches of a plan by one strategy."""

    def __init__(self, strategy: str, parameters: Mapping[str, float] | None = None) -> None:
        """Take a strategy's name and the parameters that differ from its defaults."""
        self._strategy: Strategy = strategy_named(strategy)
        self._given = dict(parameters or {})

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

        Raises as `derivation` does, FragmentNotFoundError for a branch that is not given, and
        NonFiniteKeysError for a result that no render could hold. Memory: one head of one layer in
        binary64 for each branch; a long body lies in an unnamed file.
        """
        check_branches(plan)
        parameters = self._strategy.parameters(self._given, len(plan.placements))
        branches = [fragments[placement.fragment_id] for placement in plan.placements]
        first = branches[0].header
        body = scratch_memory(
            sum(section.size for section in first.sections if section.layer is not None)
        )
        digests = []
        offset = 0
        for layer in range(len(first.geometry.layers)):
            pair = []
            for part in self._layer(layer, branches, parameters):
                stop = offset + part.nbytes
                body[offset:stop] = part.reshape(-1).view(np.uint8)
                pair.append(Digest(digest(body[offset:stop].data)))
                offset = stop
            digests.append(SectionDigests(*pair))
        header = FragmentHeader(
            first.geometry, first.start, first.seq_len, tuple(digests), first.prefix
        )
        merged = Fragment(header, body.data.toreadonly())
        check_keys(merged)
        return merged

    def _layer(
        self, layer: int, branches: Sequence[Fragment], parameters: Mapping[str, float]
    ) -> tuple[Bits, Bits]:
        """Return one layer's merged K and V ``[H, T, D]``, as bits."""
        geometry = branches[0].header.geometry
        keys = [_bits(b.keys(layer), geometry, layer, "keys") for b in branches]
        values = [_bits(b.values(layer), geometry, layer, "values") for b in branches]
        merged = np.empty_like(keys[0]), np.empty_like(values[0])

        def heads() -> Iterator[tuple[int, tuple[KeysAndValues, ...]]]:
            for head in range(geometry.layers[layer].num_kv_heads):
                yield (
                    head,
                    tuple(
                        (to_values(k[head], geometry.dtype), to_values(v[head], geometry.dtype))
                        for k, v in zip(keys, values, strict=True)
                    ),
                )

        results = self._strategy.merged_heads(layer, len(geometry.layers), heads(), parameters)
        with np.errstate(all="ignore"):
            for head, pair in enumerate(results):
                for part, origins in enumerate((keys, values)):
                    rows = [origin[head] for origin in origins]
                    merged[part][head] = to_bits(pair[part], geometry.dtype, rows)
        return merged


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


def _bits(data: memoryview, geometry: Geometry, layer: int, part: str) -> Bits:
    spec = geometry.layers[layer]
    dim = spec.key_dim if part == "keys" else spec.value_dim
    return np.frombuffer(data, UNSIGNED[geometry.dtype]).reshape(spec.num_kv_heads, -1, dim)
