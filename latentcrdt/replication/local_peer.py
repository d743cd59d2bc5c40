"""A replica of this process, as one side of anti-entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer, answer_question
from latentcrdt.core.sync.peer import Peer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import FragmentNotFoundError, StateNotFoundError
from latentcrdt.replication.prefix_chain import MAX_PREFIXES
from latentcrdt.replication.push import Push
from latentcrdt.replication.replica import Replica


class LocalPeer:
    """A `latentcrdt.core.sync.peer.Peer` over a replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Return the roots of all states."""
        roots = self._replica.roots()
        return roots.cursor if roots.digest == known else roots

    def changes(self, after: Cursor | None) -> FeedPage:
        """Return a page of what was learned since a cursor."""
        return self._replica.changes(after)

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Answer from the state as it is now."""
        return answer_question(self.state(name), question)

    def state(self, name: StateName) -> LatentState:
        """Return a state, empty if it is unknown; raises StateRetractedError."""
        try:
            return self._replica.state(name)
        except StateNotFoundError:
            return LatentState()

    def unheld(self) -> list[tuple[StateName, FragmentId]]:
        """Return the members whose bytes are not held."""
        return self._replica.unheld()

    def merge(self, name: StateName, bare: LatentState) -> None:
        """Merge a lifetime or a retraction."""
        self._replica.merge(name, bare)

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Write a fragment's file."""
        fragment = self._replica.fragments.get(fragment_id)
        write(fragment.framing)
        write(fragment.body)

    @contextmanager
    def opened(self, fragment_id: FragmentId) -> Iterator[Fragment]:
        """Return a fragment of the store."""
        yield self._replica.fragments.get(fragment_id)

    def take(self, name: StateName, fragment_id: FragmentId, source: Peer) -> int:
        """Make a fragment a member, once what it stands behind is held, too.

        In that order: a member is not asked for again, so that a prefix that is lost on the way
        would never be.
        """
        if self._replica.missing([fragment_id]):
            push = self._replica.begin_push(name, expected_id=fragment_id)
            return self._receive(fragment_id, push, source, MAX_PREFIXES)
        num_bytes = self._hold_prefix(
            self._replica.fragments.prefix_of(fragment_id), source, MAX_PREFIXES
        )
        self._replica.insert(name, fragment_id)
        return num_bytes

    def _receive(self, fragment_id: FragmentId, push: Push, source: Peer, max_prefixes: int) -> int:
        """Take in a fragment and the prefixes behind it; return how many bytes came."""
        num_bytes = 0

        def write(data: Buffer) -> None:
            nonlocal num_bytes
            push.write(data)
            num_bytes += memoryview(data).nbytes

        with push:
            source.pour(fragment_id, write)
            num_bytes += self._hold_prefix(push.finish().prefix, source, max_prefixes)
            push.commit()
        return num_bytes

    def _hold_prefix(self, prefix: FragmentId | None, source: Peer, max_prefixes: int) -> int:
        if prefix is None or max_prefixes == 0:  # of too many, a plan says so
            return 0
        if self._replica.missing([prefix]):
            try:
                push = self._replica.begin_hold(prefix)
                return self._receive(prefix, push, source, max_prefixes - 1)
            except FragmentNotFoundError:
                return 0  # nobody pushed it there yet; when somebody does, it comes as a member
        behind = self._replica.fragments.prefix_of(prefix)
        return self._hold_prefix(behind, source, max_prefixes - 1)
