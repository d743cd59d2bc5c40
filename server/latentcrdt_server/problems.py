"""Errors on the wire: RFC 9457 problem documents, and the one table from code to HTTP status."""

from __future__ import annotations

import json
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from typing_extensions import TypedDict

from latentcrdt.errors import (
    InternalError,
    InvalidRequestError,
    LatentCRDTError,
    MethodNotAllowedError,
    RouteNotFoundError,
)

log = structlog.get_logger("latentcrdt_server")

PROBLEM_TYPE = "application/problem+json"

STATUS = {
    "malformed": 400,
    "truncated": 400,
    "unsupported_dtype": 400,
    "unsupported_version": 400,
    "invalid_id": 400,
    "invalid_state_name": 400,
    "invalid_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "quota_exceeded": 403,
    "fragment_not_found": 404,
    "state_not_found": 404,
    "class_not_found": 404,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "stalled_body": 408,
    "state_retracted": 410,
    "cursor_expired": 410,
    "ambiguous_class": 409,
    "nothing_to_render": 409,
    "prefix_missing": 409,
    "incompatible_fragments": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "not_canonical": 422,
    "digest_mismatch": 422,
    "non_finite_keys": 422,
    "busy": 429,
    "corrupt_fragment": 500,
    "engine_self_test": 500,
    "internal": 500,
    "store_failed": 503,
    "store_full": 507,
}
"""HTTP status of every code that a server can give; any other code is a bug of ours: 500."""

RETRY_AFTER_S = {"busy": 1}
"""Seconds after which asking again may help, sent as Retry-After; a failed store needs a person."""

SAID_INSTEAD = {
    "store_failed": "the store met an I/O error; it may take no writes until it is opened again",
    "store_full": "the store has no room left; nothing was stored",
    "corrupt_fragment": "a stored fragment was found damaged and taken out of sight; push it again",
}
"""Said in place of messages that name files of the server: those are for its log alone."""

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
"""The methods that any path of this API may know."""

CLIENT_GONE = 499
"""What logs and metrics say of a request whose caller left before it was whole (as nginx does)."""


class ProblemDocument(TypedDict):
    """An RFC 9457 problem; ``code`` names the error class, whoever raises it again."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    details: dict[str, Any]
    instance: str
    """The request's id, as in the X-Request-Id header and the server's log."""


def problem(error: LatentCRDTError, request_id: str) -> Response:
    """Return the answer that an error deserves."""
    status = STATUS.get(error.code, 500)
    detail = str(error)
    if error.code in SAID_INSTEAD:
        detail = f"{SAID_INSTEAD[error.code]}; the log has the reason under request {request_id}"
    document: ProblemDocument = {
        "type": f"urn:latentcrdt:error:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": error.code,
        "details": error.details,
        "instance": request_id,
    }
    body = json.dumps(document, default=str).encode()
    return Response(body, status, _headers(error), media_type=PROBLEM_TYPE)


def internal_problem(request_id: str) -> Response:
    """Return the answer to a request that met a bug of ours: its log line has the rest."""
    return problem(
        InternalError(f"the server failed; its log has the reason under request {request_id}"),
        request_id,
    )


def install_problems(app: FastAPI) -> None:
    """Make the app answer every expected error with a problem document."""
    app.add_exception_handler(LatentCRDTError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def _headers(error: LatentCRDTError) -> dict[str, str]:
    headers = {}
    if error.code in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[error.code])
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    if error.code == "range_not_satisfiable" and "size" in error.details:
        headers["Content-Range"] = f"bytes */{error.details['size']}"
    if error.code == "method_not_allowed":
        headers["Allow"] = ", ".join(error.details["allow"])
    return headers


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LatentCRDTError)
    if STATUS.get(error.code, 500) >= 500:
        log.error("cannot serve", code=error.code, detail=str(error))
    return problem(error, request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Say in our words what the router says in its own: no such path, or not this method."""
    assert isinstance(error, HTTPException)
    ours: LatentCRDTError
    if error.status_code == 405:
        allow = _methods_of(request)
        ours = MethodNotAllowedError(
            f"{request.url.path}: expected one of {', '.join(allow)}, got {request.method}",
            allow=allow,
        )
    elif error.status_code == 404:
        ours = RouteNotFoundError(f"no such path: {request.url.path!r:.200}")
    else:
        ours = InvalidRequestError(str(error.detail))
    return problem(ours, request.state.request_id)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"at": ".".join(map(str, entry["loc"])), "message": entry["msg"]}
        for entry in error.errors()
    ]
    return problem(
        InvalidRequestError(f"the request is not as expected: {wrong}", errors=wrong),
        request.state.request_id,
    )


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def _methods_of(request: Request) -> list[str]:
    """Return the methods that the request's path knows, over all routes that share it."""

    def matches(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if matches(method)]
