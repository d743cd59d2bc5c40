"""What the ground under a store is asked to promise, tried one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from latentcrdt.errors import LatentCRDTError


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing tried."""

    what: str
    is_needed: bool
    """False: the store is as correct without it."""
    broken: str | None
    """How it was broken; None: it held."""


Trial = tuple[str, bool, Callable[[], str | None]]
"""What is promised, whether it is needed, and a function that returns how it is broken, if so."""


def try_all(trials: Iterable[Trial]) -> Iterator[Promise]:
    """Try each, and go on whatever comes of it."""
    for what, is_needed, attempt in trials:
        try:
            broken = attempt()
        except LatentCRDTError as error:
            broken = error.message
        except OSError as error:
            broken = str(error)
        yield Promise(what, is_needed, broken)
