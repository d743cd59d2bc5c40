"""Peer: what one replica can ask of another, wherever that one lives.

`latentcrdt.replication.local_peer` answers from this process, `latentcrdt.client.remote_peer` over
HTTP, the simulator over a network that loses things.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer
from latentcrdt.core.sync.roots import Roots


class Peer(Protocol):
    """A replica as another one sees it. Every method may be called from any thread."""

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Return the roots of all states; where the feed stands, if their digest is ``known``."""

    def changes(self, after: Cursor | None) -> FeedPage:
        """Return a page of what was learned since a cursor; CursorExpiredError when it cannot."""

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Return the nodes of a state's id tree that a question asks for; unknown is empty."""

    def state(self, name: StateName) -> LatentState:
        """Return a state with all its ids, empty if it is unknown; StateRetractedError."""

    def unheld(self) -> list[tuple[StateName, FragmentId]]:
        """Return the members that were lost or quarantined here, or what they stand behind was.

        As far as is known.
        """

    def merge(self, name: StateName, bare: LatentState) -> None:
        """Merge a lifetime or a retraction; ``bare`` has no ids."""

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Write a fragment's file piece by piece, from its start; unverified."""

    def opened(self, fragment_id: FragmentId) -> AbstractContextManager[Fragment]:
        """Return a verified fragment to be used in a block; its body lies on disk."""

    def take(self, name: StateName, fragment_id: FragmentId, source: Peer) -> int:
        """Make a fragment a member, fetching it from ``source`` if it is not held.

        It is visible only once it is verified and durable. Returns how many bytes were moved.
        """
