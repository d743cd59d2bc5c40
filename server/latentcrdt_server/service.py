"""What every route shares: settings, the replica and its store, admission, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.protocol import Store
from latentcrdt_server.admission import Admission
from latentcrdt_server.inventory import Inventory
from latentcrdt_server.merges import Merges
from latentcrdt_server.metrics import Metrics
from latentcrdt_server.peering import Peering
from latentcrdt_server.settings import Settings
from latentcrdt_server.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Service:
    """One running server's parts; made when the app starts, closed when it stops."""

    settings: Settings
    store: Store
    replica: Replica
    merges: Merges
    tokens: Tokens | None
    """None: no token is needed."""
    pushes: Admission
    """Memory of pushes under way, in bytes."""
    streams: Admission
    """Streams being sent."""
    peer: LocalPeer
    """The replica as other replicas see it."""
    peering: Peering
    inventory: Inventory
    metrics: Metrics


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceArg = Annotated[Service, Depends(_service)]
"""How a route asks for the service."""
