"""The names of a simulated disk: directories whose entries change in memory before they last.

A change of names is atomic, also when it takes one away and gives another. A power cut keeps each
change that was not synced or loses it, independently of the others, as POSIX lets it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from latentcrdt.testing.simulation.content import Content


@dataclass(eq=False, slots=True)
class Directory:
    """Entries as processes see them, and as they are on the medium."""

    cached: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)


Node = Directory | Content

Entry = tuple[Directory, str, Node | None]
"""Directory, name, and what the name stands for from now on; None: nothing."""


class Names:
    """A tree of directories, and the changes in it that are not on the medium yet, in order."""

    def __init__(self) -> None:
        self.root = Directory()
        self._unsynced: list[tuple[Entry, ...]] = []

    def change(self, *entries: Entry) -> None:
        """Make one atomic change, in memory."""
        _apply(entries, lambda directory: directory.cached)
        self._unsynced.append(entries)

    def sync(self, directory: Directory) -> None:
        """Bring every change of this directory to the medium.

        With a change that spans directories go the earlier changes of all of them: it must not be
        overtaken.
        """
        together = {directory}
        for change in reversed(self._unsynced):
            if together.intersection(_directories(change)):
                together.update(_directories(change))
        left = []
        for change in self._unsynced:
            if together.isdisjoint(_directories(change)):
                left.append(change)
            else:
                _apply(change, lambda d: d.durable)
        self._unsynced = left

    def after_power_cut(self, rng: Random) -> Names:
        """Return the tree that is left, with files cut back to what is left of them."""
        chance = rng.choice((0.0, 0.5, 1.0))
        views: dict[Directory, dict[str, Node]] = {}
        for change in self._unsynced:
            if rng.random() < chance:
                _apply(change, lambda d: views.setdefault(d, dict(d.durable)))
        left = Names()
        left.root = _left_of(self.root, views, rng, {})
        return left


def _apply(change: tuple[Entry, ...], view: Callable[[Directory], dict[str, Node]]) -> None:
    for directory, name, node in change:
        if node is None:
            view(directory).pop(name, None)
        else:
            view(directory)[name] = node


def _directories(change: tuple[Entry, ...]) -> set[Directory]:
    return {directory for directory, _, _ in change}


def _left_of(
    directory: Directory,
    views: dict[Directory, dict[str, Node]],
    rng: Random,
    contents: dict[Content, Content],
) -> Directory:
    """Copy what is on the medium, as ``views`` see it; a file of two names stays one file."""
    left: dict[str, Node] = {}
    for name, node in views.get(directory, directory.durable).items():
        if isinstance(node, Directory):
            left[name] = _left_of(node, views, rng, contents)
        else:
            if node not in contents:
                contents[node] = node.after_power_cut(rng)
            left[name] = contents[node]
    return Directory(left, dict(left))
