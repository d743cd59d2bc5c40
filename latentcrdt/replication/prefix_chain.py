"""The fork points that a fragment stands behind, found by following ``prefix`` from its header."""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import FragmentNotFoundError, PrefixMissingError

MAX_PREFIXES = 64
"""Fork points behind one another. A header names its prefix by hash, so a chain cannot be a ring,
but a sender could make it as long as it likes."""


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
