"""Structured logs: one JSON object a line on stderr, each with the id of its request."""

from __future__ import annotations

import asyncio
import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from latentcrdt_server.settings import LogLevel

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(level: LogLevel) -> None:
    """Send this process's logs, uvicorn's included, to stderr as JSON."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, _drop_color_message],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # without local variables: no tokens in logs
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn.error").addFilter(_is_not_cancelled)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _is_not_cancelled(record: logging.LogRecord) -> bool:
    """Drop tracebacks of answers that were cut off at shutdown: one line says how many were."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


def _drop_color_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop uvicorn's second copy of a message, which is painted for terminals."""
    event.pop("color_message", None)
    return event
