"""What operators and their tools ask: alive, ready, how much."""

from __future__ import annotations

import math
import shutil

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from latentcrdt_server.negotiation import answer
from latentcrdt_server.openapi import problems
from latentcrdt_server.peer_metrics import PeerMetrics
from latentcrdt_server.probe import probe
from latentcrdt_server.service import Service, ServiceArg

router = APIRouter(tags=["operations"])


class StatusDocument(TypedDict):
    """Answer of a check that passed."""

    status: str


class ReadyDocument(StatusDocument):
    """Answer of a server that takes pushes, and what it found on its disk."""

    quarantined_files: int
    """Found damaged, and kept for a person to look at."""
    passed_over_bytes: int
    """Of memberships, at the last start: in a place where no record verifies."""


@router.get("/healthz", response_model=StatusDocument)
async def healthz(request: Request) -> Response:
    """Answer at once: the process lives and its event loop turns. Touches nothing else."""
    return answer(request, StatusDocument(status="ok"))


@router.get(
    "/readyz",
    response_model=ReadyDocument,
    responses=problems("store_failed", "store_full"),
)
def readyz(request: Request, service: ServiceArg) -> Response:
    """Prove that the store takes bytes and gives them back."""
    probe(service.store)
    damage = service.store.damage()
    document = ReadyDocument(
        status="ready",
        quarantined_files=damage.num_quarantined,
        passed_over_bytes=damage.num_bytes_passed_over,
    )
    return answer(request, document)


@router.get("/metrics", response_class=Response)
def metrics(service: ServiceArg) -> Response:
    """Answer in Prometheus' text format."""
    _measure(service)
    peers = PeerMetrics(service.peering.documents())
    text = generate_latest(service.metrics.registry) + generate_latest(peers)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _measure(service: Service) -> None:
    gauges, data_dir = service.metrics, service.settings.data_dir
    holdings = service.inventory.count(service.replica)
    gauges.states.set(holdings.num_states)
    gauges.fragments.set(holdings.num_fragments)
    gauges.store_bytes.set(holdings.num_bytes)
    gauges.unmeasured_fragments.set(holdings.num_unmeasured)
    gauges.inflight_push_bytes.set(service.pushes.num_admitted)
    gauges.inflight_streams.set(service.streams.num_admitted)
    try:
        disk, damage = shutil.disk_usage(data_dir), service.store.damage()
    except OSError:  # StoreFailedError is one
        # A disk that fails must not take the other metrics with it.
        gauges.disk_available_bytes.set(math.nan)
        gauges.disk_size_bytes.set(math.nan)
        gauges.quarantined_files.set(math.nan)
        gauges.passed_over_bytes.set(math.nan)
    else:
        gauges.disk_available_bytes.set(disk.free)
        gauges.disk_size_bytes.set(disk.total)
        gauges.quarantined_files.set(damage.num_quarantined)
        gauges.passed_over_bytes.set(damage.num_bytes_passed_over)
