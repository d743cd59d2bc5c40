"""Anti-entropy between two replicas, as a generator of steps. Sans I/O.

Rule: whatever is lost, repeated, late or forged on the way, a round changes a replica only through
``merge`` and ``take``, which are idempotent and verify. So a round may be cut off anywhere, run
twice, or run beside others, and the next one finds what is left.

The cheapest way that can work is taken first: each side's feed since the last round; without a
bookmark, or when the feed cannot tell, the roots, and an id tree for each state that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import EMPTY_ROOT, RETRACTED_ROOT, LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer
from latentcrdt.core.sync.peer import Peer
from latentcrdt.core.sync.roots import Roots, StateRoot
from latentcrdt.core.sync.session import SyncSession
from latentcrdt.errors import CursorExpiredError, LatentCRDTError, RemoteSyncError

T = TypeVar("T")

MAX_FAILURES = 1000
"""A round ends when more items than this fail: the other side tells of what it has not."""

MAX_PAGES = 10_000
"""Pages of the feeds in one round: a hundred million members."""

Item: TypeAlias = tuple[StateName, FragmentId]
"""One membership to bring about."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask one side something; the answer is sent back, or its error thrown."""

    peer: Peer
    question: Callable[[Peer], Any]


@dataclass(frozen=True, slots=True)
class Copy:
    """Have ``target`` take members from ``source``, several at a time."""

    source: Peer
    target: Peer
    items: tuple[Item, ...]


@dataclass(slots=True)
class Copied:
    """What became of the items of one or several `Copy`."""

    num_copied: int = 0
    num_bytes: int = 0
    """Bytes of fragments moved; none for a fragment that the target held."""
    failures: dict[Item, LatentCRDTError] = field(default_factory=dict)

    def add(self, other: Copied) -> None:
        """Count another one's items in."""
        self.num_copied += other.num_copied
        self.num_bytes += other.num_bytes
        self.failures |= other.failures


Step: TypeAlias = Ask | Copy
Exchange: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where the feeds of two sides stood when the last round began."""

    here: Cursor | None
    there: Cursor | None
    """None: at the beginning."""
    moved: frozenset[Item] = frozenset()
    """What was copied since, either way: each will stand in the feed of the side that took it."""


@dataclass(slots=True)
class Round:
    """What one round did."""

    bookmark: Bookmark | None = None
    """For the next round; None: it has to compare."""
    is_equal: bool = False
    """Whether the digests of all roots were the same at the end."""
    taken: Copied = field(default_factory=Copied)
    """What this side took."""
    given: Copied = field(default_factory=Copied)
    """What the other side took."""

    @property
    def has_failures(self) -> bool:
        """Whether any item was left behind."""
        return bool(self.taken.failures or self.given.failures)


def exchange(here: Peer, there: Peer, bookmark: Bookmark | None, *, salt: bytes) -> Exchange[Round]:
    """Bring two replicas to what either knew when the round began.

    ``salt``: 16 random bytes, of this round alone. Raises RemoteSyncError and whatever a step
    raises; the bookmark of the last round that returned stays good.
    """
    if bookmark is not None:
        try:
            return (yield from _follow(here, there, bookmark))
        except CursorExpiredError:
            pass  # one of the two was opened again since
    return (yield from _compare(here, there, salt))


def _follow(here: Peer, there: Peer, bookmark: Bookmark) -> Exchange[Round]:
    """Tell each side what the other one learned since the bookmark, a page at a time."""
    done = Round()
    at_there, at_here = bookmark.there, bookmark.here
    moved: set[Item] = set()
    is_last = False
    num_pages = 0
    while not is_last and len(done.taken.failures) <= MAX_FAILURES:
        num_pages += 1
        if num_pages > MAX_PAGES:
            raise RemoteSyncError(f"feed: expected an end within {MAX_PAGES} pages, got none")
        learned: FeedPage = yield Ask(there, _changes(at_there))
        offered: FeedPage = yield Ask(here, _changes(at_here))
        at_there, at_here = learned.cursor, offered.cursor
        is_last = learned.is_last and offered.is_last
        yield from _merge_bare(here, learned)
        yield from _merge_bare(there, offered)
        take = _items(learned) - moved - bookmark.moved
        give = _items(offered) - moved - bookmark.moved - take
        done.taken.add((yield from _copy(there, here, take)))
        done.given.add((yield from _copy(here, there, give)))
        moved |= take | give
    is_quiet = (at_there, at_here) == (bookmark.there, bookmark.here)
    done.is_equal = is_quiet or isinstance((yield from _roots(here, there))[1], Cursor)
    if not done.has_failures and is_last:
        done.bookmark = Bookmark(at_here, at_there, frozenset(moved))
    return done


def _compare(here: Peer, there: Peer, salt: bytes) -> Exchange[Round]:
    """Find out what differs, state by state, and copy it both ways."""
    ours, theirs = yield from _roots(here, there)
    if not ours.states and isinstance(theirs, Roots):
        # All of it is news, and the feed spells it out at 32 bytes an id.
        return (yield from _follow(here, there, Bookmark(ours.cursor, None)))
    done = Round()
    moved: set[Item] = set()
    lost = yield Ask(here, lambda peer: peer.unheld())
    done.taken.add((yield from _copy(there, here, lost)))
    if isinstance(theirs, Cursor):
        done.is_equal = True
        cursor = theirs
    else:
        cursor = theirs.cursor
        for name in sorted({*ours.states, *theirs.states}):
            known = ours.states.get(name), theirs.states.get(name)
            if known[0] != known[1]:
                moved |= yield from _compare_state(done, (here, there), name, known, salt)
        done.is_equal = isinstance((yield from _roots(here, there))[1], Cursor)
    if not done.has_failures:
        done.bookmark = Bookmark(ours.cursor, cursor, frozenset(moved))
    return done


def _compare_state(
    done: Round,
    peers: tuple[Peer, Peer],
    name: StateName,
    known: tuple[StateRoot | None, StateRoot | None],
    salt: bytes,
) -> Exchange[set[Item]]:
    """Make one state equal on both sides; return what was copied."""
    here, there = peers
    for peer, mine, other in zip(peers, known, reversed(known), strict=True):
        if other is not None and (mine is None or not other.bare <= mine.bare):
            yield Ask(peer, _merging(name, other.bare))
    roots = {EMPTY_ROOT if root is None else root.root for root in known}
    if len(roots) == 1 or RETRACTED_ROOT in roots:
        return set()
    session = SyncSession((yield Ask(here, _reading(name))), salt=salt)
    while (question := session.ask()) is not None:
        session.receive((yield Ask(there, _comparing(name, question))))
    take = {(name, i) for i in session.lacking_here}
    give = {(name, i) for i in session.lacking_there}
    done.taken.add((yield from _copy(there, here, take)))
    done.given.add((yield from _copy(here, there, give)))
    return take | give


def _roots(here: Peer, there: Peer) -> Exchange[tuple[Roots, Roots | Cursor]]:
    """Return our roots, and theirs: only where their feed stands if they are the same."""
    ours: Roots = yield Ask(here, lambda peer: peer.roots())
    theirs: Roots | Cursor = yield Ask(there, lambda peer: peer.roots(ours.digest))
    return ours, theirs


def _merge_bare(peer: Peer, page: FeedPage) -> Exchange[None]:
    """Merge declarations, lifetimes and retractions, which cost nothing."""
    for name, delta in page.deltas.items():
        bare = LatentState(expires_at=delta.expires_at, retracted=delta.is_retracted)
        if bare != LatentState() or not len(delta):
            yield Ask(peer, _merging(name, bare))


def _copy(source: Peer, target: Peer, items: Iterable[Item]) -> Exchange[Copied]:
    wanted = tuple(sorted(items))
    if not wanted:
        return Copied()
    copied: Copied = yield Copy(source, target, wanted)
    return copied


def _items(page: FeedPage) -> set[Item]:
    return {(name, fragment_id) for name, delta in page.deltas.items() for fragment_id in delta}


# One function for each question: a lambda in a loop would be asked with the loop's last value.


def _changes(after: Cursor | None) -> Callable[[Peer], FeedPage]:
    return lambda peer: peer.changes(after)


def _reading(name: StateName) -> Callable[[Peer], LatentState]:
    return lambda peer: peer.state(name)


def _comparing(name: StateName, question: Question) -> Callable[[Peer], SyncAnswer]:
    return lambda peer: peer.compare(name, question)


def _merging(name: StateName, bare: LatentState) -> Callable[[Peer], None]:
    return lambda peer: peer.merge(name, bare)
