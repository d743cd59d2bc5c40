"""The readable form of a derived receipt, and what of one can be held to the truth without a model.

It is the receipt of the render that the derivation began with, and two fields more. A receipt alone
stays what it was: nothing in it says what anybody made of the render.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import DerivedReceipt, companion_of
from latentcrdt.core.documents import ReceiptDocument, receipt_document
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.errors import DigestMismatchError, InvalidInputError, MalformedError

FIELDS = ("derivation", "derived")
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
    state: str
    """The companion state: where the derived fragment is kept, if it is shared."""


class DerivedReceiptDocument(ReceiptDocument):
    """A receipt, and what was made of its render."""

    derivation: DerivationDocument
    derived: str
    """Id of the derived fragment."""


def derived_receipt_document(receipt: DerivedReceipt) -> DerivedReceiptDocument:
    """Return the readable form of a derived receipt."""
    return {
        **receipt_document(receipt.base),
        "derivation": derivation_document(receipt.derivation),
        "derived": str(receipt.fragment_id),
    }


def derivation_document(derivation: Derivation) -> DerivationDocument:
    """Return the readable form of a derivation."""
    return {
        "id": str(derivation.derivation_id),
        "operation": str(derivation.operation),
        "method": derivation.method,
        "parameters": dict(derivation.parameters),
        "class_id": str(derivation.class_id),
        "inputs": [str(fragment_id) for fragment_id in derivation.inputs],
        "state": str(companion_of(derivation)),
    }


def split_document(document: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return the base receipt of a document, and its further fields; None if it has none."""
    if type(document) is not dict or not any(name in document for name in FIELDS):
        return document, None
    base = {name: value for name, value in document.items() if name not in FIELDS}
    return base, {name: document.get(name) for name in FIELDS}


def read_derivation(fields: Mapping[str, Any], plan: RenderPlan) -> tuple[Derivation, FragmentId]:
    """Return the derivation and the derived fragment's id that the further fields spell.

    The derivation is made again of the plan, which the base receipt proves, and must come out the
    same: DigestMismatchError if it does not, MalformedError for another shape.
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
        fragment_id = FragmentId.parse(fields["derived"])
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
    return derivation, fragment_id
