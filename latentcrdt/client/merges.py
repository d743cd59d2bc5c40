"""What a client knows of merges: how a query's branches are blended, and what that is called.

Rule: only here does the client know `latentcrdt.merging`. Reason: a merge asked for here has to be
the one that a server makes; everything else that makes rows comes from whoever calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latentcrdt.core.derivation import Derivation
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import InvalidRequestError

if TYPE_CHECKING:
    from latentcrdt.merging.branches import BranchMerge


def merge_of(query: RenderQuery) -> BranchMerge:
    """Return the merge that a query asks for; InvalidRequestError for one that nobody knows."""
    # numpy is loaded here: only whoever merges pays for it.
    from latentcrdt.merging.branches import BranchMerge  # noqa: PLC0415

    choice = query.merge_choice
    if choice is None:
        raise InvalidRequestError("expected a query with merge, got one without")
    return BranchMerge.of(choice)


def merge_named(query: RenderQuery, source: RenderPlan) -> Derivation:
    """Return the name of what the query's merge makes of the plan of its branches."""
    return merge_of(query).derivation(source)
