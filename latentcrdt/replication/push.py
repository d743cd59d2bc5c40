"""One fragment on its way into a state: admitted, durable, a member, and only then acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.render.sort_key import check_keys
from latentcrdt.replication.space import Space
from latentcrdt.store.protocol import Upload


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push."""

    header: FragmentHeader
    created: bool
    """Whether the state grew: False when the fragment was a member already."""


class Push:
    """A push under way, to be used as a context manager; nothing stays unless it is committed."""

    def __init__(
        self,
        upload: Upload,
        space: Space,
        note: Callable[[Fragment], None],
        insert: Callable[[FragmentId], bool],
    ) -> None:
        """``note`` is told of the fragment once it is held; ``insert`` makes it a member, durably.

        The latter returns whether that was new.
        """
        self._upload = upload
        self._space = space
        self._note = note
        self._insert = insert

    def write(self, data: Buffer) -> None:
        """Take the next bytes; raises the InvalidInputError that they deserve, at once."""
        self._upload.write(data)

    def finish(self) -> FragmentHeader:
        """Return the header of the whole, verified, still private fragment; TruncatedError."""
        return self._upload.finish().header

    def commit(self) -> PushResult:
        """Admit the fragment and make it a member of the state; durable on return.

        Raises TruncatedError when bytes are missing, NonFiniteKeysError when its keys cannot be
        sorted or rotated, StateRetractedError, StoreFailedError or StoreFullError.
        """
        fragment = self._upload.finish()
        check_keys(fragment)
        with self._space.keep(fragment.fragment_id):
            self._upload.publish()
            self._note(fragment)
            return PushResult(fragment.header, self._insert(fragment.fragment_id))

    def __enter__(self) -> Self:
        self._upload.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._upload.__exit__(kind, error, trace)
