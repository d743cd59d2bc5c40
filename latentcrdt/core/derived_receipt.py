"""The readable form of a derived receipt, and what of one can be held to the truth without a model.

It is the receipt of the derived render, and two fields more: how its one fragment was made, and the
receipt of the render that this began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from latentcrdt.core.claims import ClaimedPlan, read_receipt
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import DerivedReceipt, companion_of, plan_of_derived
from latentcrdt.core.documents import ReceiptDocument, receipt_document
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import DigestMismatchError, InvalidInputError, MalformedError

FIELDS = ("derivation", "base")
"""What such a document has beside the fields of a receipt."""


class DerivationDocument(TypedDict):
    """How the rows were made."""

    id: str
    operation: str
    method: str
    parameters: dict[str, str]
    class_id: str
    inputs: list[str]
    """The fragments in plan order."""
    state: str | None
    """The companion state, where the fragment that a repair made is kept if it is shared; none of a
    merge, which anyone makes again."""


class DerivedReceiptDocument(ReceiptDocument):
    """The receipt of a derived render, how it was derived, and of what."""

    derivation: DerivationDocument
    base: ReceiptDocument
    """Of the fragments that the derivation began with."""


def derived_receipt_document(receipt: DerivedReceipt) -> DerivedReceiptDocument:
    """Return the readable form of a derived receipt."""
    return {
        **receipt_document(receipt.render),
        "derivation": derivation_document(receipt.derivation),
        "base": receipt_document(receipt.base),
    }


def derivation_document(derivation: Derivation) -> DerivationDocument:
    """Return the readable form of a derivation."""
    is_repair = derivation.operation is Operation.REPAIR
    return {
        "id": str(derivation.derivation_id),
        "operation": str(derivation.operation),
        "method": derivation.method,
        "parameters": dict(derivation.parameters),
        "class_id": str(derivation.class_id),
        "inputs": [str(fragment_id) for fragment_id in derivation.inputs],
        "state": str(companion_of(derivation)) if is_repair else None,
    }


def split_document(document: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return the receipt of a document's render, and its further fields; None if it has none."""
    if type(document) is not dict or not any(name in document for name in FIELDS):
        return document, None
    render = {name: value for name, value in document.items() if name not in FIELDS}
    return render, {name: document.get(name) for name in FIELDS}


def read_derivation(fields: Mapping[str, Any], plan: RenderPlan) -> Derivation:
    """Return the derivation that the further fields spell.

    It is made again of the plan that it began with, which the base receipt proves, and must come
    out the same: DigestMismatchError if it does not, MalformedError for another shape.
    """
    given = fields["derivation"]
    try:
        derivation = Derivation.of(
            Operation(given["operation"]),
            given["method"],
            given["parameters"],
            plan.class_id,
            tuple(p.fragment_id for p in plan.placements),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidInputError) as error:
        raise MalformedError(
            f"expected a derived receipt, got another document: {error}"
        ) from error
    expected = derivation_document(derivation)
    if given.keys() != expected.keys():
        raise MalformedError(f"derivation: expected the fields {sorted(expected)} and no others")
    for name, value in expected.items():
        if given[name] != value:
            raise DigestMismatchError(
                f"derivation, {name}: expected {value!s:.80}, got {given[name]!s:.80}",
                claim=f"derivation, {name}",
            )
    return derivation


def read_derived_render(document: Any, source: RenderPlan) -> Receipt:
    """Return the receipt of a derived render, whose source is known; raises as `read_receipt`.

    Whether its digests are right, only the derived fragment tells.
    """
    claimed = ClaimedPlan.of(document)
    if len(claimed.order) != 1:
        raise MalformedError(f"fragments: expected one, the derived, got {len(claimed.order)}")
    num_layers = len(source.geometry.layers)
    if claimed.layers.stop > num_layers:
        raise DigestMismatchError(
            f"plan, layers: expected some of {num_layers}, got up to {claimed.layers.stop - 1}",
            claim="plan, layers",
        )
    return read_receipt(document, plan_of_derived(source, claimed.order[0], claimed.layers))


def read_merge_receipt(document: Any, plan: RenderPlan, source: RenderPlan) -> DerivedReceipt:
    """Return the receipt of merged branches, for plans that are already in hand.

    ``plan`` renders what came of the branches, ``source`` the branches. Raises as `read_receipt`
    and `read_derivation` do. Whether the rows are right, only merging again can tell.
    """
    render, further = split_document(document)
    if further is None:
        raise MalformedError("expected the receipt of a merge, got one without derivation")
    receipt = read_receipt(render, plan)
    base = read_receipt(further["base"], source)
    return DerivedReceipt(receipt, read_derivation(further, source), base)
