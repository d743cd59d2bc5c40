"""An independent oracle: reads the texts with regular expressions and answers, or says None.

It knows nothing of the generator: each family is one reading of ordinary sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
BEATS = {("paper", "rock"), ("rock", "scissors"), ("scissors", "paper")}


def _lookup(text: str, name: str) -> str | None:
    homes = re.findall(r"(\w+) lives in (\w+)\.", text)
    mine = {city for person, city in homes if person == name}
    return _only(person for person, city in homes if city in mine and person != name)


def _two_hop(text: str, name: str) -> str | None:
    keys = re.findall(rf"\b{name} has the (\w+) key\.", text)
    return _only(p for key in keys for p in re.findall(rf"The {key} key opens the (\w+)\.", text))


def _comparison(text: str, first: str, second: str) -> str | None:
    hands = dict(re.findall(r"(\w+) shows (\w+)\.", text))
    a, b = hands.get(first), hands.get(second)
    return first if (a, b) in BEATS else second if (b, a) in BEATS else None


def _counting(text: str, animal: str) -> str | None:
    return NUMBERS[len(re.findall(rf"\w+ has a {animal}\.", text))]


def _constraint(text: str, thing: str, boxes: str) -> str | None:
    ruled_out = re.findall(rf"The {thing} is not in the (\w+) box\.", text)
    return _only(box for box in re.split(r", | or ", boxes) if box not in ruled_out)


READINGS: list[tuple[str, Callable[..., str | None]]] = [
    (r"Who lives in the same city as (\w+)\?", _lookup),
    (r"What can (\w+) open\?", _two_hop),
    (r"Who wins, (\w+) or (\w+)\?", _comparison),
    (r"How many people have a (\w+)\?", _counting),
    (r"Which box has the (\w+), (.+)\?", _constraint),
]


def solve(shards: Sequence[str], question: str) -> str | None:
    """Return the one answer that the shards give; None where they give none, or several."""
    text = " ".join(shards)
    for pattern, read in READINGS:
        if match := re.fullmatch(pattern, question):
            return read(text, *match.groups())
    raise ValueError(question)


def _only(found) -> str | None:
    words = list(found)
    return words[0] if len(words) == 1 else None
