"""The words that facts are made of, and how facts become a text."""

from __future__ import annotations

from collections.abc import Sequence

# fmt: off
NAMES = (
    "Anna", "Ben", "Cora", "Dan", "Emma", "Finn", "Greta", "Hugo", "Iris", "Jack",
    "Kate", "Leo", "Mia", "Nora", "Otto", "Paul", "Rosa", "Sam", "Tara", "Viktor",
)
CITIES = (
    "Athens", "Berlin", "Cairo", "Delhi", "Lima", "London",
    "Madrid", "Oslo", "Paris", "Prague", "Rome", "Tokyo",
)
COLOURS = (
    "red", "blue", "green", "white", "black", "yellow",
    "brown", "pink", "grey", "golden", "silver", "purple",
)
PLACES = (
    "barn", "attic", "cellar", "garage", "library", "office",
    "kitchen", "garden", "tower", "chapel", "stable", "cabin",
)
HANDS = ("rock", "paper", "scissors")
ANIMALS = ("dog", "cat", "horse")
OBJECTS = ("coin", "ring", "letter", "watch", "stamp", "pearl")
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
)
# fmt: on

FACTS_PER_SHARD = 3
"""Facts in every shard of every family: few, so that a small model can learn the benchmark."""


def text_of(facts: Sequence[str]) -> str:
    """Join sentences into one shard."""
    return " ".join(facts)


def listed(words: Sequence[str]) -> str:
    """Return ``a, b or c``."""
    return f"{', '.join(words[:-1])} or {words[-1]}"
