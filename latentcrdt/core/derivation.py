"""Derivation: how a latent state was made from a class of fragments, and the name that this has.

A render lays fragments side by side; a merge of branches or a repair makes new rows out of them.
Such rows are no contribution of an agent: they are never a member beside their inputs, and they
are named by what they were made of, so that whoever wants the same finds it without making it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from latentcrdt.core.encoding import digest, encode
from latentcrdt.core.ids import ClassId, Digest, FragmentId
from latentcrdt.errors import InvalidRequestError

KIND = "latentcrdt.derivation"
VERSION = 1

_WORD = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}\Z")
"""Methods and parameters' names: one spelling each."""

_VALUE = re.compile(r"-?[a-z0-9][a-z0-9.+-]{0,62}\Z")
"""Parameters' values: words, or numbers as decimal text."""


class Operation(StrEnum):
    """What made the rows."""

    MERGE = "merge"
    """Branches of equal length behind one prefix were blended; needs no model."""
    REPAIR = "repair"
    """A model computed some rows of a render again."""


# Not slotted: cached_property keeps the id.
@dataclass(frozen=True)
class Derivation:
    """One operation with its parameters on these fragments, in this order."""

    operation: Operation
    method: str
    """Such as ``uniform-average`` or ``legolink``."""
    parameters: tuple[tuple[str, str], ...]
    """Name and value of everything that the result depends on, names ascending."""
    class_id: ClassId
    inputs: tuple[FragmentId, ...]
    """The fragments in plan order, which is canonical unless a caller chose another."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)):
            raise InvalidRequestError(
                f"{self.operation} {self.method!r:.40}: expected parameters by ascending name, "
                f"each once, got {names}"
            )
        for word, pattern in (
            *((word, _WORD) for word in (self.method, *names)),
            *((value, _VALUE) for _, value in self.parameters),
        ):
            if not pattern.match(word):
                raise InvalidRequestError(
                    f"{self.operation}: expected words of a-z, 0-9, '.', '+' and '-', "
                    f"got {word!r:.80}"
                )
        if not self.inputs:
            raise InvalidRequestError(f"{self.operation}: expected at least one fragment, got none")

    @classmethod
    def of(
        cls,
        operation: Operation,
        method: str,
        parameters: Mapping[str, object],
        class_id: ClassId,
        inputs: tuple[FragmentId, ...],
    ) -> Derivation:
        """Return the derivation with these parameters, whose values are spelled by ``str``."""
        spelled = tuple(sorted((name, str(value)) for name, value in parameters.items()))
        return cls(operation, method, spelled, class_id, inputs)

    @cached_property
    def derivation_id(self) -> Digest:
        """BLAKE3 that names the result before a row of it exists."""
        fields = [
            str(self.operation),
            self.method,
            [list(pair) for pair in self.parameters],
            bytes(self.class_id),
            [bytes(fragment_id) for fragment_id in self.inputs],
        ]
        return Digest(digest(encode(KIND, VERSION, fields)))
