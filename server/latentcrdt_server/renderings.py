"""A render that was asked for: its plan, its receipt and its bytes, whether it is merged or not."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from latentcrdt.core.derived_receipt import DerivedReceiptDocument, derived_receipt_document
from latentcrdt.core.documents import ReceiptDocument, receipt_document
from latentcrdt.core.ids import StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.replication.replica import Replica
from latentcrdt_server.merges import Merged, Merges


class Rendering(Protocol):
    """One render of a state."""

    @property
    def plan(self) -> RenderPlan:
        """Order, positions and size."""

    @property
    def receipt_tag(self) -> str:
        """Name of exactly this receipt: equal tags, equal documents."""

    def receipt(self) -> ReceiptDocument | DerivedReceiptDocument:
        """Return the receipt in its readable form."""

    def chunks(self, start: int, stop: int) -> Generator[memoryview]:
        """Yield these bytes of the stream; a view is valid until the next one is asked for."""


def rendering(state: StateName, query: RenderQuery, replica: Replica, merges: Merges) -> Rendering:
    """Return the render that a query asks for, merged now if it is to be; raises as these do."""
    if query.merge is None:
        return _Plain(replica, replica.plan(state, query))
    return _Blended(merges, merges.merged(state, query))


@dataclass(frozen=True, slots=True)
class _Plain:
    """Fragments side by side."""

    replica: Replica
    plan: RenderPlan

    @property
    def receipt_tag(self) -> str:
        return self.plan.etag

    def receipt(self) -> ReceiptDocument:
        return receipt_document(self.replica.receipt(self.plan))

    def chunks(self, start: int, stop: int) -> Generator[memoryview]:
        return self.replica.render_chunks(self.plan, start=start, stop=stop)


@dataclass(frozen=True, slots=True)
class _Blended:
    """Branches merged into one."""

    merges: Merges
    merged: Merged

    @property
    def plan(self) -> RenderPlan:
        return self.merged.plan

    @property
    def receipt_tag(self) -> str:
        # Two merges may make the same bytes, and still have different receipts.
        return f"{self.plan.etag}.{self.merged.derivation.derivation_id}"

    def receipt(self) -> DerivedReceiptDocument:
        return derived_receipt_document(self.merges.receipt(self.merged))

    def chunks(self, start: int, stop: int) -> Generator[memoryview]:
        return self.merges.chunks(self.merged, start, stop)
