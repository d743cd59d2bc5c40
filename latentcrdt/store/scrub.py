"""Scrub: read everything again, to find what the disk has lost before someone asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError
from latentcrdt.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one fragment."""

    fragment_id: FragmentId
    problem: str | None
    """None: intact. Otherwise it was damaged, and was taken out of sight."""


def scrub(store: Store) -> Iterator[Finding]:
    """Hash every fragment that a store holds, and yield the finding of each.

    Damaged ones are quarantined by the store: then they are missing, and a push heals them.
    """
    for fragment_id in store.ids():
        try:
            store.verify(fragment_id)
        except CorruptFragmentError as damage:
            yield Finding(fragment_id, damage.message)
        except FragmentNotFoundError:
            continue  # quarantined by someone else since it was listed
        else:
            yield Finding(fragment_id, None)
