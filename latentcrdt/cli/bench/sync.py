"""What it costs two replicas to find out how they differ, and to become equal again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.client import Client
from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.encoding import digest
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.exchange import Bookmark, Copied, Copy, Round, exchange
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

ID_BYTES = 32
"""What telling one differing id costs at the very least."""

NAME = StateName("bench")
SALT = bytes(16)


@dataclass(frozen=True, slots=True)
class Row:
    """One way to find out, for one number of differing ids."""

    how: str
    num_ids: int
    num_differing: int
    num_bytes: int
    """Of all messages, both ways, HTTP's headers not counted."""
    round_trips: int
    seconds: float

    @property
    def times_minimum(self) -> float | None:
        """Bytes over 32 for each differing id."""
        return self.num_bytes / (ID_BYTES * self.num_differing) if self.num_differing else None


@dataclass(frozen=True, slots=True)
class Convergence:
    """A directory and a server that differ, made equal over HTTP."""

    num_differing: int
    fragment_bytes: int
    seconds: float


class MeteredPeer(LocalPeer):
    """Counts what its answers, and the questions, would weigh on a wire."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica)
        self.num_bytes = self.round_trips = 0

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Count a digest out, and roots or a cursor back."""
        found = super().roots(known)
        back = str(found).encode() if isinstance(found, Cursor) else found.encode()
        self._count(len(known or b"") + len(back))
        return found

    def changes(self, after: Cursor | None) -> FeedPage:
        """Count a cursor out and a page back."""
        page = super().changes(after)
        self._count(len(str(after)) + len(page.encode()))
        return page

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Count a question out and an answer back."""
        found = super().compare(name, question)
        self._count(len(question.encode()) + len(found.encode()))
        return found

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        self.round_trips += 1


def wire(num_ids: int, differing: Sequence[int]) -> list[Row]:
    """Return what each way costs; nothing is copied, the ids alone are compared."""
    common = _ids(0, num_ids)
    rows = [_measure("roots", num_ids, [], _replica(common), _replica(common), follow=False)]
    for count in differing:
        news = _ids(num_ids, count)
        rows.append(
            _measure("feed", num_ids, news, _replica(common), _replica(common), follow=True)
        )
        theirs = _replica([*common, *news])
        rows.append(_measure("id tree", num_ids, news, _replica(common), theirs, follow=False))
    return rows


def converge(num_fragments: int, differing: Sequence[int]) -> list[Convergence]:
    """Return how long a server and a directory take, of which the server has more fragments."""
    results = []
    with TemporaryDirectory(prefix="latentcrdt-bench-") as directory:
        root = Path(directory)
        with (
            ServerProcess(root / "server") as server,
            Client(server.url) as client,
        ):
            ours, there = Replica(DirectoryStore(root / "ours")), RemotePeer(client)
            seeds = iter(range(10**9))
            for _ in range(num_fragments):
                client.push(NAME, make_fragment(next(seeds)))
            synchronise(LocalPeer(ours), there)
            for count in differing:
                news = [make_fragment(next(seeds)) for _ in range(count)]
                for fragment in news:
                    client.push(NAME, fragment)
                began = time.perf_counter()
                done = synchronise(LocalPeer(ours), there)
                seconds = time.perf_counter() - began
                assert done.is_equal
                assert done.taken.num_copied == count
                results.append(Convergence(count, news[0].num_bytes, seconds))
            ours.close()
    return results


def _measure(
    how: str,
    num_ids: int,
    news: list[FragmentId],
    ours: Replica,
    theirs: Replica,
    *,
    follow: bool,
) -> Row:
    here, there = LocalPeer(ours), MeteredPeer(theirs)
    bookmark = Bookmark(ours.roots().cursor, theirs.roots().cursor) if follow else None
    if follow:
        theirs.merge(NAME, LatentState(news))
    done = Round()
    began = time.perf_counter()
    steps = exchange(here, there, bookmark, salt=SALT)
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Copy):
                ours.merge(NAME, LatentState(fragment_id for _, fragment_id in step.items))
                answer = Copied(num_copied=len(step.items))
            else:
                answer = step.question(step.peer)
    except StopIteration as stop:
        done = stop.value
    seconds = time.perf_counter() - began
    assert done.is_equal
    assert done.taken.num_copied == len(news)
    return Row(how, num_ids, len(news), there.num_bytes, there.round_trips, seconds)


def _replica(ids: list[FragmentId]) -> Replica:
    replica = Replica(_Boundless())
    replica.merge(NAME, LatentState(ids))
    return replica


def _ids(first: int, count: int) -> list[FragmentId]:
    return [FragmentId(digest(n.to_bytes(8, "big"))) for n in range(first, first + count)]


ANY = make_fragment(0)


class _Boundless(MemoryStore):
    """Has the bytes of every id, as far as anybody asks."""

    def has(self, _: FragmentId) -> bool:
        return True

    def header(self, _: FragmentId) -> FragmentHeader:
        return ANY.header
