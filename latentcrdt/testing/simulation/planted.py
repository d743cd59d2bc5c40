"""Bugs to plant, each of which the simulation must catch: a check that cannot fail proves nothing.

Each replaces one function of the real code by one that is wrong in a way that people get wrong.
"""

# Bugs are planted where no one else should reach.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from latentcrdt.core import sections_reader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync import exchange
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.session import SyncSession
from latentcrdt.errors import CursorExpiredError
from latentcrdt.replication.feed import Feed
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.push import Push, PushResult
from latentcrdt.replication.space import Space
from latentcrdt.replication.states import States
from latentcrdt.store import membership_log
from latentcrdt.store.durability import Durability
from latentcrdt.store.group_commit import GroupCommit
from latentcrdt.store.membership_log import MembershipLog
from latentcrdt.store.membership_record import SegmentContents, scan_segment

Plant = Callable[[], AbstractContextManager[object]]


def _replace(owner: object, name: str, wrong: Callable[..., Any]) -> Plant:
    return lambda: mock.patch.object(owner, name, wrong)


def _nothing(*_: object, **__: object) -> None:
    return None


def _adopt_without_store(self: States, name: StateName, delta: LatentState) -> bool:
    return self._adopt(name, delta)


def _adopt_before_store(self: States, name: StateName, delta: LatentState) -> bool:
    if not self._adopt(name, delta):
        return False
    self._store.merge(name, delta)
    return True


def _member_before_object(self: Push) -> PushResult:
    fragment = self._upload.finish()
    created = self._insert(fragment.fragment_id)
    self._upload.publish()
    return PushResult(fragment.header, created)


def _last_writer_wins(self: LatentState, other: LatentState) -> bool:
    changed = self != other
    self._ids, self._expires_at, self._retracted = other._ids, other._expires_at, other._retracted
    self._sorted, self._new, self._root = (), list(other._ids), None
    return changed


_merge = LatentState.merge


def _resurrecting_merge(self: LatentState, other: LatentState) -> bool:
    if self._retracted and len(other):
        self._retracted = False
    return _merge(self, other)


def _earlier_end_wins(self: LatentState, other: LatentState) -> bool:
    ends = [s.expires_at for s in (self, other) if s.expires_at is not None]
    grew = _merge(self, other)
    if not self._retracted:
        self._expires_at = min(ends, default=None)
    return grew


_page = Feed.page


def _page_skips_one(
    self: Feed, after: Cursor | None, states: dict[StateName, LatentState]
) -> FeedPage:
    page = _page(self, after, states)
    return FeedPage(Cursor(page.cursor.epoch, page.cursor.position + 1), page.is_last, page.deltas)


def _page_of_any_epoch(
    self: Feed, after: Cursor | None, states: dict[StateName, LatentState]
) -> FeedPage:
    try:
        return _page(self, after, states)
    except CursorExpiredError:
        return FeedPage(self.cursor, is_last=True, deltas={})


def _page_without_retractions(
    self: Feed, after: Cursor | None, states: dict[StateName, LatentState]
) -> FeedPage:
    page = _page(self, after, states)
    living = {name: delta for name, delta in page.deltas.items() if not delta.is_retracted}
    return FeedPage(page.cursor, page.is_last, living)


_descend = SyncSession._descend


def _descend_but_the_last(self: SyncSession, prefix: str, children: tuple[bytes, ...]) -> None:
    before = len(self._waiting)
    _descend(self, prefix, children)
    del self._waiting[before + 1 :]


def _take_what_is_not_held(
    self: LocalPeer, name: StateName, fragment_id: FragmentId, _source: object
) -> int:
    self._replica.merge(name, LatentState([fragment_id]))
    return 0


def _reclaim_all(self: Space, released: Iterable[FragmentId]) -> int:
    for fragment_id in released:
        self._store.remove(fragment_id)
    return 0


def _compact_inputs_first(
    self: MembershipLog, segments: list[Any], _damaged: object, states: Any
) -> None:
    for path in segments:
        self._disk.unlink(path)
    self._write_segment(self._next_path(), states)


def _scan_until_damage(data: bytes) -> SegmentContents:
    found = scan_segment(data)
    return SegmentContents() if found.num_bytes_skipped else found


_append = GroupCommit.append


def _append_and_hope(self: GroupCommit, record: bytes) -> None:
    try:
        _append(self, record)
    except OSError:
        return


def _read_unsynced(self: MembershipLog, path: Any) -> bytes:
    return bytes(self._disk.open(path).map())


def _copy_nothing(*_: object) -> exchange.Exchange[exchange.Copied]:
    yield from ()
    return exchange.Copied()


PLANTED: dict[str, Plant] = {
    "files are not synced": _replace(Durability, "sync_file", _nothing),
    "directories are not synced": _replace(Durability, "sync_directory", _nothing),
    "memberships are never written": _replace(States, "merge", _adopt_without_store),
    "readers see a membership before it is durable": _replace(States, "merge", _adopt_before_store),
    "a commit that failed is acknowledged": _replace(GroupCommit, "append", _append_and_hope),
    "a fragment is a member before it is held": _replace(Push, "commit", _member_before_object),
    "sections are not verified": _replace(sections_reader, "check_section", _nothing),
    "a member is taken without its bytes": _replace(LocalPeer, "take", _take_what_is_not_held),
    "the last writer wins": _replace(LatentState, "merge", _last_writer_wins),
    "a merge resurrects": _replace(LatentState, "merge", _resurrecting_merge),
    "the earlier end wins": _replace(LatentState, "merge", _earlier_end_wins),
    "the feed skips an entry": _replace(Feed, "page", _page_skips_one),
    "a cursor of another opening is honoured": _replace(Feed, "page", _page_of_any_epoch),
    "the feed tells of no retraction": _replace(Feed, "page", _page_without_retractions),
    "a session follows one child of a node": _replace(
        SyncSession, "_descend", _descend_but_the_last
    ),
    "an exchange copies nothing": _replace(exchange, "_copy", _copy_nothing),
    "space is taken from other states": _replace(Space, "reclaim", _reclaim_all),
    "segments are removed before they are joined": _replace(
        MembershipLog, "_compact", _compact_inputs_first
    ),
    "a torn record costs its segment": _replace(membership_log, "scan_segment", _scan_until_damage),
    "segments are believed unsynced": _replace(MembershipLog, "_read", _read_unsynced),
}
"""By what is wrong."""
