"""Run the server in this process until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from latentcrdt.client.loopback import is_loopback
from latentcrdt_server.app import create_app
from latentcrdt_server.logs import configure_logs
from latentcrdt_server.protocol import bounded_protocol
from latentcrdt_server.settings import Settings

READY = "latentcrdt listening on "
"""The line on stdout that tells whoever started the process where, and that it is ready."""

log = structlog.get_logger("latentcrdt_server")


class AnnouncingServer(uvicorn.Server):
    """Says on stdout where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print one line: ``latentcrdt listening on http://HOST:PORT``."""
        await super().startup(sockets)
        if self.started:
            print(READY + _url(self.servers[0].sockets[0]), flush=True)  # noqa: T201  # for programs


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; answers under way are finished first. Returns then.

    Raises LatentCRDTError for what keeps the server from starting, except an address that it cannot
    listen on: uvicorn logs that, and the process ends with status 1.
    """
    configure_logs(settings.log_level)
    if settings.token_file is None and not is_loopback(settings.host):
        log.warning("anyone who reaches this address may read and write", host=settings.host)
    # uvicorn raises the signal that stopped it once more, for the handlers it found: a server
    # that has drained ends with status 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    # Not uvicorn's: it logs the traceback of what went wrong, and only that.
    async with app.router.lifespan_context(app):
        # Modules and what is known of the store stay. To look through them for garbage again and
        # again would stop every request for 40 ms, and for longer with more fragments.
        gc.collect()
        gc.freeze()
        server = AnnouncingServer(_config(settings, app))
        try:
            await server.serve()
        except SystemExit:
            if not server.started:
                sys.exit(1)
        finally:
            # Answers that were cut off have yet to let go of the store.
            await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


def _config(settings: Settings, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=bounded_protocol(settings.body_timeout_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
