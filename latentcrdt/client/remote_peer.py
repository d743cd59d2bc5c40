"""A server, as one side of anti-entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from latentcrdt.client.blocking import Client
from latentcrdt.client.pushed_body import open_fragment
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import SALT_BYTES, Question, SyncAnswer
from latentcrdt.core.sync.peer import Peer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.core.sync.session import SyncSession


class RemotePeer:
    """A `latentcrdt.core.sync.peer.Peer` over HTTP; needs a token with the scope ``sync``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Return the roots of all states."""
        return self._client.roots(known)

    def changes(self, after: Cursor | None) -> FeedPage:
        """Return a page of what was learned since a cursor."""
        return self._client.changes(after)

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Ask the server for nodes of a state's tree."""
        return self._client.compare(name, question)

    def state(self, name: StateName) -> LatentState:
        """Return a state's ids: what a comparison with nothing finds lacking, at 40 bytes each."""
        session = SyncSession(LatentState(), salt=bytes(SALT_BYTES))
        while (question := session.ask()) is not None:
            session.receive(self.compare(name, question))
        return LatentState(session.lacking_here)

    def unheld(self) -> list[tuple[StateName, FragmentId]]:
        """Return nothing: a server looks for its own losses, and has its own peers."""
        return []

    def merge(self, name: StateName, bare: LatentState) -> None:
        """Declare, give a lifetime or retract."""
        if bare.is_retracted:
            self._client.retract(name)
        else:
            self._client.declare(name, expires_at=bare.expires_at)

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Download a fragment's file; a broken connection is resumed."""
        self._client.pour(fragment_id, write)

    @contextmanager
    def opened(self, fragment_id: FragmentId) -> Iterator[Fragment]:
        """Return a fragment in a temporary file, verified while it arrived."""
        with TemporaryDirectory(prefix="latentcrdt-") as directory:
            path = Path(directory) / str(fragment_id)
            self._client.fetch_to(fragment_id, path)
            yield open_fragment(path)

    def take(self, name: StateName, fragment_id: FragmentId, source: Peer) -> int:
        """Have the server make a fragment a member, sending it only if it is not held there."""
        with source.opened(fragment_id) as fragment:
            pushed = self._client.push(name, fragment)
            return fragment.num_bytes if pushed.sent else 0
