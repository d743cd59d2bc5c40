"""Plans, receipts and renders of a state."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from latentcrdt.core.derived_receipt import DerivedReceiptDocument
from latentcrdt.core.documents import PlanDocument, ReceiptDocument, plan_document
from latentcrdt.core.ids import StateName
from latentcrdt.core.query import RenderQuery
from latentcrdt_server.access import require
from latentcrdt_server.etags import none_match_fails, quote
from latentcrdt_server.grants import Scope
from latentcrdt_server.negotiation import answer
from latentcrdt_server.openapi import (
    RENDER_QUERY,
    RENDER_TYPE,
    binary_answers,
    unchanged,
    v1_problems,
)
from latentcrdt_server.parameters import RenderQueryArg, StateArg
from latentcrdt_server.renderings import Rendering, rendering
from latentcrdt_server.service import Service, ServiceArg
from latentcrdt_server.transfer import Representation, transfer

router = APIRouter(
    prefix="/v1/states/{state}", tags=["renders"], dependencies=[require(Scope.READ)]
)

_PROBLEMS = v1_problems(
    *("invalid_state_name", "invalid_id", "state_not_found", "class_not_found"),
    *("fragment_not_found", "ambiguous_class", "nothing_to_render", "prefix_missing"),
    *("incompatible_fragments", "range_not_satisfiable", "corrupt_fragment"),
    *("forbidden", "state_retracted"),
    *("non_finite_keys", "too_large", "store_full", "busy"),  # of merges
)

_UNCHANGED = unchanged("this document")


@router.get(
    "/plan",
    response_model=PlanDocument,
    openapi_extra=RENDER_QUERY,
    responses=_UNCHANGED | _PROBLEMS,
)
def plan(request: Request, state: StateArg, query: RenderQueryArg, service: ServiceArg) -> Response:
    """Plan a render: order, positions and size, without a byte of it."""
    asked = _rendering(state, query, service)
    headers = _headers(asked, f"{asked.plan.etag}.plan")
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(request, plan_document(asked.plan), headers=headers)


@router.get(
    "/receipt",
    response_model=ReceiptDocument | DerivedReceiptDocument,
    openapi_extra=RENDER_QUERY,
    responses=_UNCHANGED | _PROBLEMS,
)
def receipt(
    request: Request, state: StateArg, query: RenderQueryArg, service: ServiceArg
) -> Response:
    """Return a plan with sort keys and the digest of every section that it yields.

    With `merge` also how it was made, and the receipt of the branches.
    """
    asked = _rendering(state, query, service)
    headers = _headers(asked, f"{asked.receipt_tag}.receipt")
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(request, asked.receipt(), headers=headers)


@router.head("/render", include_in_schema=False)
@router.get(
    "/render",
    response_class=Response,
    openapi_extra=RENDER_QUERY,
    responses=binary_answers(RENDER_TYPE) | _PROBLEMS,
)
def render(
    request: Request, state: StateArg, query: RenderQueryArg, service: ServiceArg
) -> Response:
    """Render a state: its fragments rotated and laid side by side, streamed layer by layer.

    With `merge` they are branches that were captured at the same positions behind one prefix, and
    are blended into one, which stands behind the prefix.
    """
    asked = _rendering(state, query, service)
    return transfer(request, _representation(asked, service), service.streams)


def _rendering(state: StateName, query: RenderQuery, service: Service) -> Rendering:
    return rendering(state, query, service.replica, service.merges)


def _representation(asked: Rendering, service: Service) -> Representation:
    def on_end(num_bytes: int, seconds: float) -> None:
        service.metrics.fetch_bytes.inc(num_bytes)
        service.metrics.render_seconds.observe(seconds)

    return Representation(
        etag=asked.plan.etag,
        length=len(asked.plan.framing) + asked.plan.body_bytes,
        media_type=RENDER_TYPE,
        # A state grows, so its render may be another one the next time: ask with If-None-Match.
        headers={"Cache-Control": "no-cache", "Render-Id": str(asked.plan.render_id)},
        slices=asked.chunks,
        on_end=on_end,
    )


def _headers(asked: Rendering, tag: str) -> Mapping[str, str]:
    return {
        "Cache-Control": "no-cache",
        "ETag": quote(tag),
        "Render-Id": str(asked.plan.render_id),
        "Vary": "Accept",
    }
