"""What a strategy is: a rule for one head of one layer, and the parameters that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.sums import Array

KeysAndValues: TypeAlias = tuple[Array, Array]
"""K ``[T, D]`` and V ``[T, D_v]`` of one head."""


class Family(StrEnum):
    """What a strategy chooses by."""

    LAYER = "layer"
    HEAD = "head"
    COMPONENT = "component"


class Symmetry(StrEnum):
    """When the result stays the same though two branches change places."""

    NEVER = "never"
    AT_HALF = "at weight 0.5"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Head:
    """One head of one layer, in every branch, the anchor's first."""

    layer: int
    num_layers: int
    head: int
    branches: tuple[KeysAndValues, ...]

    @property
    def anchor(self) -> KeysAndValues:
        """The head in the anchor: what a rule keeps where it does not blend."""
        return self.branches[0]

    @property
    def other(self) -> KeysAndValues:
        """The head in the second branch."""
        return self.branches[1]

    @property
    def depth(self) -> float:
        """Return l / (L - 1): 0 for the first layer, 1 for the last; 1 where there is but one."""
        return self.layer / (self.num_layers - 1) if self.num_layers > 1 else 1.0

    @property
    def is_late(self) -> bool:
        """Whether the layer is in the upper half."""
        return 2 * self.layer >= self.num_layers


Parameters: TypeAlias = Mapping[str, float]
Rule: TypeAlias = Callable[[Head, Parameters], KeysAndValues]


@dataclass(frozen=True, slots=True)
class Strategy:
    """One row of FACTS section 6, under the name by which a render asks for it."""

    name: str
    family: Family
    rule: Rule
    summary: str
    symmetry: Symmetry = Symmetry.NEVER
    defaults: Parameters = field(default_factory=dict)
    many: bool = False
    """Whether it is defined for more than two branches, taken at once in canonical order."""
    takes_whole_heads: bool = False
    """Whether the rule needs all rows of a head at once; if not, each row by itself will do."""
    layer_weights: bool = False
    """Whether it takes a weight for each layer too: ``weight-0``, ``weight-1`` and so on."""

    def parameters(self, given: Mapping[str, float], num_branches: int) -> dict[str, float]:
        """Return all parameters, the given ones and the defaults.

        Raises InvalidRequestError for a name that the strategy does not take, a value outside its
        bounds, or branches that it is not defined for.
        """
        if num_branches < 2 or (num_branches > 2 and not self.many):
            expected = "two or more" if self.many else "exactly two"
            raise InvalidRequestError(
                f"merge {self.name}: expected {expected} branches, got {num_branches}"
            )
        known = {name for name in given if name in self.defaults or self._is_layer_weight(name)}
        if unknown := sorted(given.keys() - known):
            raise InvalidRequestError(
                f"merge {self.name}: expected parameters {sorted(self.defaults)}, got {unknown}"
            )
        if num_branches > 2 and "weight" in given:
            raise InvalidRequestError(
                f"merge {self.name}: {num_branches} branches have equal weights; expected none"
            )
        for name, value in given.items():
            low, high = BOUNDS[_kind(name)]
            if not low <= value <= high or (name == "every" and value != int(value)):
                raise InvalidRequestError(
                    f"merge {self.name}: expected {name} in [{low:g}, {high:g}], got {value!r}"
                )
        return {**self.defaults, **given}

    def merged_heads(
        self,
        layer: int,
        num_layers: int,
        heads: Iterable[tuple[int, tuple[KeysAndValues, ...]]],
        parameters: Parameters,
    ) -> Iterator[KeysAndValues]:
        """Yield merged heads of one layer, given by number and, in every branch, rows.

        The anchor's rows come first. ``parameters`` are all of them: what `parameters` returns.
        """
        for head, branches in heads:
            yield self.rule(Head(layer, num_layers, head, branches), parameters)

    def _is_layer_weight(self, name: str) -> bool:
        return self.layer_weights and re.fullmatch(r"weight-(0|[1-9][0-9]{0,3})", name) is not None


BOUNDS = {
    "weight": (0.0, 1.0),
    "threshold": (-1.0, 1.0),
    "steepness": (0.0, 1000.0),
    "every": (1.0, 1000.0),
}
"""What each kind of parameter may be; ``weight``: of the second branch."""


def _kind(name: str) -> str:
    """Return the kind of a parameter: ``weight-3`` is the weight of layer 3."""
    return re.sub(r"-\d+\Z", "", name)
