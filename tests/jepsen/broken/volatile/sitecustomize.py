"""On the path of a server, this makes it keep memberships in memory alone."""

from __future__ import annotations

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.store.directory import DirectoryStore


def merge_nothing(store: DirectoryStore, name: StateName, delta: LatentState) -> None:
    pass


DirectoryStore.merge = merge_nothing  # type: ignore[method-assign]
