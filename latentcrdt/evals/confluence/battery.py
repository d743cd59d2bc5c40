"""The battery: 267 pairs of branches in 16 linguistic categories, written for this project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways in which a text goes on."""

    pair_id: str
    """Category and number, such as ``homographs-03``."""
    category: str
    expected: str
    """What FACTS section 6 says of the category: merge, collapse, variable or washout."""
    prefix: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Category:
    """Pairs that differ in one and the same way."""

    name: str
    expected: str
    description: str
    pairs: tuple[Pair, ...]


@cache
def battery() -> tuple[Category, ...]:
    """Return all categories."""
    text = resources.files(__package__).joinpath("battery.json").read_text("utf-8")
    return tuple(
        Category(
            entry["name"],
            entry["expected"],
            entry["description"],
            tuple(
                Pair(f"{entry['name']}-{i:02}", entry["name"], entry["expected"], *texts)
                for i, texts in enumerate(entry["pairs"])
            ),
        )
        for entry in json.loads(text)
    )
