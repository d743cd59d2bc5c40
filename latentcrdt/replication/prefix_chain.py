"""The fork points that a fragment stands behind, found by following ``prefix`` from its header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError, PrefixMissingError

MAX_PREFIXES = 64
"""Fork points behind one another. A header names its prefix by hash, so a chain cannot be a ring,
but a sender could make it as long as it likes."""

HEADERS_AT_ONCE = 8
"""Read from a store that may be a bucket, where each takes some ten milliseconds."""


def prefix_chain(
    header: FragmentHeader, header_of: Callable[[FragmentId], FragmentHeader]
) -> list[FragmentHeader]:
    """Return the prefixes of a fragment, outermost first; ``header_of`` finds one that is held.

    Raises PrefixMissingError when one is not held, or when there are more than ``MAX_PREFIXES``.
    """
    chain: list[FragmentHeader] = []
    prefix = header.prefix
    while prefix is not None:
        if len(chain) == MAX_PREFIXES:
            raise PrefixMissingError(
                f"fragment {header.fragment_id}: expected at most {MAX_PREFIXES} prefixes behind "
                f"one another, got more",
                id=str(header.fragment_id),
                limit=MAX_PREFIXES,
            )
        try:
            chain.append(header_of(prefix))
        except FragmentNotFoundError as error:
            raise PrefixMissingError(
                f"fragment {header.fragment_id}: captured behind prefix {prefix}, which is not "
                f"held here; push it first",
                id=str(header.fragment_id),
                prefix=str(prefix),
            ) from error
        prefix = chain[-1].prefix
    return chain[::-1]


def not_whole(
    ids: Collection[FragmentId],
    missing: Callable[[Iterable[FragmentId]], list[FragmentId]],
    prefix_of: Callable[[FragmentId], FragmentId | None],
) -> set[FragmentId]:
    """Return those of the ids that are not held, or stand behind one that is not.

    ``missing`` finds which of some are not held, and is asked once for each generation of prefixes.
    """
    lost: set[FragmentId] = set()
    behind: dict[FragmentId, FragmentId | None] = {}

    def look(fragment_id: FragmentId) -> None:
        try:
            behind[fragment_id] = prefix_of(fragment_id)
        except (FragmentNotFoundError, CorruptFragmentError):  # since it was asked for
            lost.add(fragment_id)

    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        new = set(ids)
        while new:
            lost.update(missing(new))
            list(pool.map(look, new - lost))
            prefixes = {prefix for i in new - lost if (prefix := behind[i]) is not None}
            new = prefixes - behind.keys() - lost

    def stands(fragment_id: FragmentId | None) -> bool:
        while fragment_id is not None:
            if fragment_id in lost:
                return False
            fragment_id = behind[fragment_id]
        return True

    return {fragment_id for fragment_id in ids if not stands(fragment_id)}
