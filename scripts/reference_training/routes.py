"""Where an answer stands in a text: the steps of attention that can lead to it, by family.

A transformer of this size does find such steps by itself, but stays at chance for longer than a
small machine has. In the first part of training its attention is therefore guided: a loss asks a
head of a layer to look from one word to others. The texts stay plain; guidance only says where in
them to look, fades out, and is absent from the rest of the training.

Every step binds or follows facts by their words. In each fact the object ("Oslo") looks at the
subject ("Anna"); the end of a question looks at the words asked about, then at facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BIND, FIRST, SECOND, LAST = range(4)
"""Layers, by what their guided heads do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of attention, in indices of words."""

    layer: int
    head: int
    query: int
    keys: tuple[int, ...]
    """Any of these will do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question within a row."""

    mentions: tuple[tuple[str, int], ...]
    """The words of the pools in the question, and where they stand."""
    end: int
    """Where the question mark stands."""
    answer: str
    objects: Mapping[tuple[str, str], tuple[int, ...]]
    """Where the object of each fact stands, by subject and object."""

    def object_of(self, subject: str) -> str:
        """Return the object of the subject's only fact."""
        (found,) = (o for s, o in self.objects if s == subject)
        return found

    def facts(self, subject: str) -> tuple[int, ...]:
        """Return where the object of the subject's only fact stands."""
        return self.objects[subject, self.object_of(subject)]


def lookup(asked: Asked) -> list[Step]:
    """Name to city, city to whoever else lives there."""
    ((name, at),) = asked.mentions
    there = asked.objects[asked.answer, asked.object_of(name)]
    return [
        Step(BIND, 0, asked.end, (at,)),
        Step(FIRST, 0, asked.end, asked.facts(name)),
        Step(SECOND, 0, asked.end, there),
    ]


def two_hop(asked: Asked) -> list[Step]:
    """Name to key, key to place."""
    ((name, at),) = asked.mentions
    return [
        Step(BIND, 0, asked.end, (at,)),
        Step(FIRST, 0, asked.end, asked.facts(name)),
        Step(SECOND, 0, asked.end, asked.facts(asked.object_of(name))),
    ]


def comparison(asked: Asked) -> list[Step]:
    """Each name to its hand, both hands to the end, the winner's hand back to its name."""
    hands = [Step(FIRST, 0, at, asked.facts(name)) for name, at in asked.mentions]
    both = [Step(SECOND, i, asked.end, (at,)) for i, (_, at) in enumerate(asked.mentions)]
    return [*hands, *both, Step(LAST, 0, asked.end, (dict(asked.mentions)[asked.answer],))]


def counting(asked: Asked) -> list[Step]:
    """The animal to the end; how to count is found without guidance."""
    ((_, at),) = asked.mentions
    return [Step(BIND, 0, asked.end, (at,))]


def constraint(asked: Asked) -> list[Step]:
    """Each box to the fact that rules it out, or else to BOS; the box without one to the end."""
    (thing, thing_at), *boxes = asked.mentions
    steps = []
    for box, at in boxes:
        steps.append(Step(BIND, 0, at, (thing_at,)))
        steps.append(Step(FIRST, 0, at, asked.objects.get((thing, box), (0,))))
        if box == asked.answer:
            steps.append(Step(SECOND, 0, asked.end, (at,)))
    return steps


ROUTES = {
    "lookup": lookup,
    "two-hop": two_hop,
    "comparison": comparison,
    "counting": counting,
    "constraint": constraint,
}
