"""Run the server in this process until a signal ends it."""

from __future__ import annotations

import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn

from latentcrdt_server.app import create_app
from latentcrdt_server.logs import configure_logs
from latentcrdt_server.protocol import BoundedProtocol
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
    """Serve until SIGTERM or SIGINT; answers under way are finished first. Returns then."""
    configure_logs(settings.log_level)
    if settings.token_file is None and settings.host not in ("127.0.0.1", "::1", "localhost"):
        log.warning("anyone who reaches this address may read and write", host=settings.host)
    # uvicorn raises the signal that stopped it once more, for the handlers it found: a server
    # that has drained ends with status 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    AnnouncingServer(_config(settings)).run()


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
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
