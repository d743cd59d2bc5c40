"""Prove the receipt of a merge: merge the branches again, and compare section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentcrdt.core.claims import check_sort_keys
from latentcrdt.core.derivation import Derivation
from latentcrdt.core.derived import DerivedReceipt
from latentcrdt.core.derived_receipt import read_derived_render
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import DigestMismatchError, MalformedError
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import run_digests


def prove_merge(
    document: Any,
    derivation: Derivation,
    base: Receipt,
    fragments: Mapping[FragmentId, Fragment],
) -> DerivedReceipt:
    """Return the receipt of a merge, once everything in it was found to be true.

    ``document`` is the receipt of the merged render, ``base`` that of the branches, proven already,
    ``derivation`` one of the base's plan, and ``fragments`` what this draws on. Raises
    DigestMismatchError that names the first wrong claim, a section's layer and part where rows
    differ, MalformedError for another shape, and InvalidRequestError for a strategy that nobody
    knows.
    """
    merge = BranchMerge(derivation.method, _numbers(derivation))
    if merge.derivation(base.plan) != derivation:
        raise DigestMismatchError(
            f"derivation, parameters: expected all of {derivation.method}'s, each in its one "
            f"spelling, got {dict(derivation.parameters)}",
            claim="derivation, parameters",
        )
    made = merge.apply(base.plan, fragments)
    # Under the id that is claimed, so that rows are compared first: they say what differs.
    receipt = read_derived_render(document, base.plan)
    (placement,) = receipt.plan.placements
    held = {p.fragment_id: fragments[p.fragment_id] for p in base.plan.prefixes}
    held[placement.fragment_id] = made
    for index, actual in enumerate(run_digests(receipt.plan, held)):
        receipt.check_section(index, "keys", actual.keys)
        receipt.check_section(index, "values", actual.values)
    check_sort_keys(receipt, [sort_key(made)])
    if placement.fragment_id != made.fragment_id:
        raise DigestMismatchError(
            f"merged fragment: expected {made.fragment_id}, got {placement.fragment_id}",
            claim="plan, fragments",
            expected=str(made.fragment_id),
            actual=str(placement.fragment_id),
        )
    return DerivedReceipt(receipt, derivation, base)


def _numbers(derivation: Derivation) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in derivation.parameters}
    except ValueError as error:
        raise MalformedError(f"derivation, parameters: expected numbers: {error}") from error
