"""What a store promises: verified fragments, durable memberships, nothing acknowledged early.

Rule: a fragment is durable before its membership is, and both before anyone is told. A reader never
sees bytes that did not hash to their id. One suite, `latentcrdt.testing.store_suite`, states all of
it and runs on every store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary


@dataclass(frozen=True, slots=True)
class Damage:
    """What a store found damaged, for a person to look at. Zero on a sound disk."""

    num_quarantined: int
    """Objects and logs that were taken out of use, and are kept."""
    num_bytes_passed_over: int
    """Bytes of memberships, as of this opening, in which no record verifies: at the end of a log a
    write that a crash cut short, anywhere else damage."""


class Upload(Protocol):
    """One fragment on its way in, private until published. Leaving the block discards it."""

    def write(self, data: Buffer) -> None:
        """Take the next bytes; they are verified as they come (InvalidInputError)."""

    def finish(self) -> Fragment:
        """Return the whole, verified, still private fragment; valid until the block is left."""

    def publish(self) -> bool:
        """Make the finished fragment durable, then visible; return False if it was held already.

        Raises StoreFailedError or StoreFullError, and then nothing is visible.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Store(Protocol):
    """Where fragments and memberships live. Every method may be called from any thread."""

    def put(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> Upload:
        """Begin to take one fragment of at most ``max_bytes``."""

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None = None) -> Fragment:
        """Return a fragment, its body mapped or in memory, or raise FragmentNotFoundError.

        ``known``, its header from an earlier time, spares decoding the same bytes again.
        Raises CorruptFragmentError when the stored header no longer matches the id, or the size
        the header: such an object is taken out of sight first.
        """

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header; as ``get``, without opening the body."""

    def summary(self, fragment_id: FragmentId) -> Summary | None:
        """Return the summary that was kept of a fragment; None at any time, and of what is gone."""

    def keep_summary(self, summary: Summary) -> None:
        """Keep a summary of a fragment that is held, in place of an earlier one; never fails."""

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash every section of a fragment that is held; raises as ``get`` does."""

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the fragment is held."""

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held, in the order given."""

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments held, in no particular order."""

    def remove(self, fragment_id: FragmentId) -> None:
        """Forget a fragment's bytes, if they are held; what was returned before stays readable.

        The caller answers for it that no state that lives has it as a member.
        """

    def merge(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into a state, durably; an empty one declares the state."""

    def states(self) -> dict[StateName, LatentState]:
        """Return every state, as found when the store was opened or merged since: copies."""

    def refresh(self) -> dict[StateName, LatentState]:
        """Return what other processes have merged since the last call, or the opening.

        Nothing, in a store that one process has to itself.
        """

    def damage(self) -> Damage:
        """Return what was found damaged and not cleared away by a person since."""

    def close(self) -> None:
        """Release locks and files; whatever was acknowledged is already durable."""
