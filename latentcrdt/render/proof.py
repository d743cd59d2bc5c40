"""Prove a receipt: make its render again, on any machine, and compare claim by claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentcrdt.core.claims import ClaimedPlan, check_sort_keys, read_receipt
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.receipt import Receipt
from latentcrdt.render.engine import Engine
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import run_digests


def prove(
    document: Any, fragments: Mapping[FragmentId, Fragment], *, engine: Engine | None = None
) -> Receipt:
    """Return the receipt that a document spells, once everything in it was found to be true.

    The plan is placed again, the keys are computed again, and every section is rendered and
    digested again, in bounded memory: what is cheap to refute comes first. The fragments must be
    verified ones. That the set is whole is the one thing that fragments cannot show.

    Raises MalformedError for what is no receipt, FragmentNotFoundError for a fragment that is not
    given, DigestMismatchError that names the first wrong claim: a field, or a section's layer, part
    and fragment. Fragments that do not go together raise what `place` raises.
    """
    claimed = ClaimedPlan.of(document)
    plan = claimed.place({i: fragment.header for i, fragment in fragments.items()})
    receipt = read_receipt(document, plan)
    check_sort_keys(receipt, [sort_key(fragments[i]) for i in claimed.order])
    for index, actual in enumerate(run_digests(receipt.plan, fragments, engine=engine)):
        receipt.check_section(index, "keys", actual.keys)
        receipt.check_section(index, "values", actual.values)
    return receipt
