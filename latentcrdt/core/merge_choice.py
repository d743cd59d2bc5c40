"""MergeChoice: by which strategy, and with which numbers, branches are merged; its spelling.

What strategies there are, and what they take, `latentcrdt.merging` knows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from latentcrdt.errors import InvalidRequestError

MAX_CHARS = 4096
"""Of a spelled choice: a weight for each of two hundred layers."""

_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class MergeChoice:
    """A strategy, and its parameters as far as they are not the strategy's defaults."""

    strategy: str
    parameters: tuple[tuple[str, float], ...] = ()
    """Name and value, names ascending."""

    @classmethod
    def parse(cls, text: str) -> MergeChoice:
        """Read ``STRATEGY`` or ``STRATEGY:name=number,...``; InvalidRequestError.

        >>> str(MergeChoice.parse("cosine-gated:weight=0.30,threshold=0.8"))
        'cosine-gated:threshold=0.8,weight=0.3'
        """
        strategy, colon, rest = text.partition(":")
        pairs = [part.partition("=") for part in rest.split(",")] if colon else []
        names = [name for name, _, _ in pairs]
        if (
            len(text) > MAX_CHARS
            or not all(_WORD.fullmatch(word) for word in (strategy, *names))
            or not all(_NUMBER.fullmatch(number) for _, _, number in pairs)
            or len(set(names)) != len(names)
        ):
            raise InvalidRequestError(
                f"merge: expected STRATEGY or STRATEGY:name=number,... with each name once, "
                f"got {text!r:.80}"
            )
        parameters = [(name, float(number)) for name, _, number in pairs]
        for name, value in parameters:
            if not math.isfinite(value):
                raise InvalidRequestError(f"merge: expected a finite {name}, got {value}")
        return cls(strategy, tuple(sorted(parameters)))

    def __str__(self) -> str:
        spelled = ",".join(f"{name}={value!r}" for name, value in self.parameters)
        return f"{self.strategy}:{spelled}" if spelled else self.strategy
