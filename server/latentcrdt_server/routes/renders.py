"""Plans, receipts and renders of a state."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from latentcrdt.core.documents import (
    PlanDocument,
    ReceiptDocument,
    plan_document,
    receipt_document,
)
from latentcrdt.core.plan import RenderPlan
from latentcrdt_server.access import require
from latentcrdt_server.etags import none_match_fails, quote
from latentcrdt_server.grants import Scope
from latentcrdt_server.negotiation import answer
from latentcrdt_server.openapi import (
    RENDER_QUERY,
    RENDER_TYPE,
    binary_answers,
    problems,
    unchanged,
    v1_problems,
)
from latentcrdt_server.parameters import RenderQueryArg, StateArg
from latentcrdt_server.service import Service, ServiceArg
from latentcrdt_server.streaming import Slices
from latentcrdt_server.transfer import Representation, transfer

router = APIRouter(
    prefix="/v1/states/{state}", tags=["renders"], dependencies=[require(Scope.READ)]
)

_PROBLEMS = v1_problems(
    *("invalid_state_name", "invalid_id", "state_not_found", "class_not_found"),
    *("fragment_not_found", "ambiguous_class", "nothing_to_render", "prefix_missing"),
    *("incompatible_fragments", "range_not_satisfiable", "corrupt_fragment"),
    *("forbidden", "state_retracted"),
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
    planned = service.replica.plan(state, query)
    headers = _headers(planned, "plan")
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(request, plan_document(planned), headers=headers)


@router.get(
    "/receipt",
    response_model=ReceiptDocument,
    openapi_extra=RENDER_QUERY,
    responses=_UNCHANGED | _PROBLEMS,
)
def receipt(
    request: Request, state: StateArg, query: RenderQueryArg, service: ServiceArg
) -> Response:
    """Return a plan with sort keys and the digest of every section that it yields."""
    planned = service.replica.plan(state, query)
    headers = _headers(planned, "receipt")
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(request, receipt_document(service.replica.receipt(planned)), headers=headers)


@router.head("/render", include_in_schema=False)
@router.get(
    "/render",
    response_class=Response,
    openapi_extra=RENDER_QUERY,
    responses=binary_answers(RENDER_TYPE) | _PROBLEMS | problems("busy"),
)
def render(
    request: Request, state: StateArg, query: RenderQueryArg, service: ServiceArg
) -> Response:
    """Render a state: its fragments rotated and laid side by side, streamed layer by layer."""
    return transfer(
        request, _representation(service.replica.plan(state, query), service), service.streams
    )


def _representation(planned: RenderPlan, service: Service) -> Representation:
    def slices(start: int, stop: int) -> Slices:
        return service.replica.render_chunks(planned, start=start, stop=stop)

    def on_end(num_bytes: int, seconds: float) -> None:
        service.metrics.fetch_bytes.inc(num_bytes)
        service.metrics.render_seconds.observe(seconds)

    return Representation(
        etag=planned.etag,
        length=len(planned.framing) + planned.body_bytes,
        media_type=RENDER_TYPE,
        # A state grows, so its render may be another one the next time: ask with If-None-Match.
        headers={"Cache-Control": "no-cache", "Render-Id": str(planned.render_id)},
        slices=slices,
        on_end=on_end,
    )


def _headers(planned: RenderPlan, suffix: str) -> Mapping[str, str]:
    return {
        "Cache-Control": "no-cache",
        "ETag": quote(f"{planned.etag}.{suffix}"),
        "Render-Id": str(planned.render_id),
        "Vary": "Accept",
    }
