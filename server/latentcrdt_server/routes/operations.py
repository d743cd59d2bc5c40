"""What operators and their tools ask: alive, ready, how much."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from latentcrdt_server.negotiation import answer
from latentcrdt_server.openapi import problems
from latentcrdt_server.probe import probe
from latentcrdt_server.service import ServiceArg

router = APIRouter(tags=["operations"])


class StatusDocument(TypedDict):
    """Answer of a check that passed."""

    status: str


@router.get("/healthz", response_model=StatusDocument)
async def healthz(request: Request) -> Response:
    """Answer at once: the process lives and its event loop turns. Touches nothing else."""
    return answer(request, StatusDocument(status="ok"))


@router.get(
    "/readyz",
    response_model=StatusDocument,
    responses=problems("store_failed", "store_full"),
)
def readyz(request: Request, service: ServiceArg) -> Response:
    """Prove that the store takes bytes and gives them back."""
    probe(service.store)
    return answer(request, StatusDocument(status="ready"))


@router.get("/metrics", response_class=Response)
def metrics(service: ServiceArg) -> Response:
    """Answer in Prometheus' text format."""
    gauges = service.metrics
    num_fragments, num_bytes = service.inventory.count()
    gauges.fragments.set(num_fragments)
    gauges.store_bytes.set(num_bytes)
    gauges.inflight_push_bytes.set(service.pushes.num_admitted)
    return Response(generate_latest(gauges.registry), media_type=CONTENT_TYPE_LATEST)
