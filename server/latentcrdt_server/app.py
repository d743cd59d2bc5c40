"""The application: parts put together, opened when it starts and closed when it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from functools import partial
from importlib.metadata import version

import structlog
from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from latentcrdt.render.selection import select_engine
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.open import open_store
from latentcrdt_server.access import require_own_host, require_token
from latentcrdt_server.admission import Admission
from latentcrdt_server.early import EarlyAnswer
from latentcrdt_server.expiry import expiring
from latentcrdt_server.inventory import Inventory
from latentcrdt_server.merges import Merges
from latentcrdt_server.metrics import Metrics
from latentcrdt_server.observation import Observation
from latentcrdt_server.openapi import describe
from latentcrdt_server.peering import peering
from latentcrdt_server.problems import install_problems
from latentcrdt_server.refreshing import refreshing
from latentcrdt_server.routes import (
    docs,
    fragments,
    operations,
    pushes,
    renders,
    replication,
    states,
)
from latentcrdt_server.scrubbing import scrubbing
from latentcrdt_server.service import Service
from latentcrdt_server.settings import Settings
from latentcrdt_server.tokens import Tokens

log = structlog.get_logger("latentcrdt_server")


def create_app(settings: Settings) -> FastAPI:
    """Return the app; its store is opened by the ASGI lifespan, so one app serves one process."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tokens = None if settings.token_file is None else Tokens.read(settings.token_file)
        # Loads torch and proves the engine before the first caller has to wait for it.
        engine = await run_in_threadpool(select_engine)
        shared = settings.store is not None
        open_ours = partial(
            open_store, settings.store, settings.data_dir, cache_bytes=settings.cache_bytes
        )
        with (
            closing(await run_in_threadpool(open_ours)) as store,
            closing(Replica(store, max_fragment_bytes=settings.max_fragment_bytes)) as replica,
            peering(settings.peers, LocalPeer(replica), settings.sync_interval_s) as neighbours,
            # Not by each of many servers, over the network: what they fetch is verified anyway.
            nullcontext() if shared else scrubbing(store, on_damage=neighbours.recheck),
            refreshing(replica) if shared else nullcontext(),
            expiring(replica),
        ):
            app.state.service = Service(
                settings=settings,
                store=store,
                replica=replica,
                merges=Merges(replica),
                tokens=tokens,
                pushes=Admission(settings.max_inflight_bytes, "bytes of pushes"),
                streams=Admission(settings.max_streams, "answers being sent"),
                peer=LocalPeer(replica),
                peering=neighbours,
                inventory=Inventory(),
                metrics=metrics,
            )
            where = settings.store or str(settings.data_dir)
            log.info("open", store=where, engine=engine.name)
            yield
        log.info("closed", store=where)

    app = FastAPI(
        title="latentcrdt",
        version=version("latentcrdt"),
        description="A replicated store of transformer latent state.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for resource in (pushes, fragments, states, renders, replication):
        app.include_router(
            resource.router, dependencies=[Depends(require_own_host), Depends(require_token)]
        )
    app.include_router(operations.router)
    app.include_router(docs.router)
    install_problems(app)
    app.add_middleware(EarlyAnswer)
    app.add_middleware(Observation, metrics=metrics)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app
