"""One comparison of a state with another replica's: questions out, answers in. Sans I/O.

Rule: the other end is believed in nothing that costs. It can make this one ask too much only up to
``MAX_NODES``, and what it claims to hold is a wish until a fragment of that id arrives and hashes.
"""

from __future__ import annotations

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.messages import MAX_PREFIXES, Leaf, Question, SyncAnswer
from latentcrdt.core.sync.tree import DIGITS, IdTree
from latentcrdt.errors import RemoteSyncError

MAX_NODES = 1 << 20
"""Nodes asked for in one session: two states of half a million ids that have none in common."""


class SyncSession:
    """Finds out which ids each of two replicas lacks, at a cost that follows their number."""

    def __init__(self, state: LatentState, *, salt: bytes) -> None:
        """``state`` is ours, as it was when the session began; ``salt``: 16 random bytes."""
        self._tree = IdTree(state.ids)
        self._salt = salt
        self._waiting: list[str] = [""]
        self._asked: tuple[str, ...] = ()
        self._num_nodes = 0
        self.lacking_here: set[FragmentId] = set()
        """What the other replica says it has and this one has not."""
        self.lacking_there: set[FragmentId] = set()
        """What this replica has and the other one has not."""

    def ask(self) -> Question | None:
        """Return the next question, or None when the difference is known."""
        self._asked = tuple(self._waiting[:MAX_PREFIXES])
        self._waiting = self._waiting[MAX_PREFIXES:]
        self._num_nodes += len(self._asked)
        if self._num_nodes > MAX_NODES:
            raise RemoteSyncError(
                f"expected a difference of at most {MAX_NODES} nodes, got more", limit=MAX_NODES
            )
        return Question(self._salt, self._asked) if self._asked else None

    def receive(self, answer: SyncAnswer) -> None:
        """Take the answer to the last question.

        Raises RemoteSyncError for one that answers something else.
        """
        if len(answer.nodes) != len(self._asked):
            raise RemoteSyncError(
                f"expected {len(self._asked)} nodes, got {len(answer.nodes)}",
                expected=len(self._asked),
                actual=len(answer.nodes),
            )
        for prefix, node in zip(self._asked, answer.nodes, strict=True):
            if isinstance(node, Leaf):
                self._compare(prefix, node.ids)
            else:
                self._descend(prefix, node.children)
        self._asked = ()

    def _compare(self, prefix: str, ids: tuple[FragmentId, ...]) -> None:
        theirs, ours = set(ids), set(self._tree.below(prefix))
        for fragment_id in theirs:
            if not str(fragment_id).startswith(prefix):
                raise RemoteSyncError(
                    f"expected ids that start with {prefix}, got {fragment_id}", id=str(fragment_id)
                )
        self.lacking_here |= theirs - ours
        self.lacking_there |= ours - theirs

    def _descend(self, prefix: str, children: tuple[bytes, ...]) -> None:
        ours = self._tree.children(prefix, self._salt)
        self._waiting += [
            prefix + digit
            for digit, mine, yours in zip(DIGITS, ours, children, strict=True)
            if mine != yours
        ]
