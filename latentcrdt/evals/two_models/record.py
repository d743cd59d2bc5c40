"""Records: what was measured of one setting, and what a judge said of two."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from latentcrdt.errors import MalformedError
from latentcrdt.evals.append_file import read_lines
from latentcrdt.evals.record import to_line


class Setting(NamedTuple):
    """One way to have one model out of two, or to take one of them alone."""

    where: str
    """``base``, ``tuned``, ``weights`` or ``latent``."""
    layer: int = -1
    """Behind which the hidden states merge; -1 where nothing does."""
    operator: str = ""
    alpha: float = 0.0

    @property
    def beside(self) -> Setting:
        """The merge of weights by the same rule."""
        return Setting("weights", -1, self.operator, self.alpha)

    def __str__(self) -> str:
        words = [self.where, str(self.layer) if self.layer >= 0 else "", self.operator]
        return " ".join([word for word in words if word] + [f"{self.alpha:g}"])


BASE, TUNED = Setting("base"), Setting("tuned")

KNOWN = Setting("known")
"""Stands for no merge: a judge is shown right answers beside wrong ones."""


class LayerGeometry(NamedTuple):
    """Where a layer's output lies between those of the two models, over the tokens of all texts."""

    midness: float
    """Median over tokens."""
    arc_ratio: float
    """Median over tokens."""
    deviation: float
    """Median of |arc ratio - 0.5|."""
    cka_base: float
    cka_tuned: float


class Bounded(NamedTuple):
    """The bound with constants at one quantile of the estimates, on the other half of the texts."""

    quantile: float
    curvature: float
    slope: float
    violations: float
    """Share of tokens whose loss exceeds the bound, l_B being that of the tuned model's hidden
    states under the base model's upper layers."""
    slack: float
    """Median of bound - loss, in nats."""
    foreign_violations: float
    """The same with l_B of the tuned model itself, and the terms in D that this adds."""
    foreign_slack: float


@dataclass(frozen=True, slots=True)
class Record:
    """One setting on all cases."""

    setting: Setting
    texts: Mapping[str, str]
    """What was answered, by case."""
    right: Mapping[str, bool]
    losses: Mapping[str, float]
    """Mean loss of the right answer's tokens, by case, in nats."""
    layers: tuple[LayerGeometry, ...] = ()
    """From the merged layer on; all layers for merged weights."""
    bound: tuple[Bounded, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said of a latent merge beside the merge of weights by the same rule."""

    judge: str
    setting: Setting
    points: Mapping[str, float]
    """Of the latent merge, by case: 1 it won, 0 it lost, 0.5 a tie; of the right answer where the
    setting is `KNOWN`."""


def line_of(entry: Record | Judgement) -> bytes:
    """Return the one line that spells an entry."""
    return to_line(asdict(entry))


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file; MalformedError names a line that is none."""
    for fields in _documents(path):
        fields["layers"] = tuple(LayerGeometry(*entry) for entry in fields["layers"])
        fields["bound"] = tuple(Bounded(*entry) for entry in fields["bound"])
        yield Record(**fields)


def read_judgements(path: Path) -> Iterator[Judgement]:
    """Yield the judgements of a file; MalformedError names a line that is none."""
    for fields in _documents(path):
        yield Judgement(**fields)


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            fields = json.loads(line)
            fields["setting"] = Setting(*fields["setting"])
        except (ValueError, TypeError, KeyError) as error:
            raise MalformedError(f"{path}, line {number}: expected a record: {error}") from error
        yield fields
