"""What replicas ask of each other: canonical msgpack, whose every byte the asker checks."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from latentcrdt.core.sync.messages import Question
from latentcrdt.errors import UnsupportedMediaTypeError
from latentcrdt_server.access import CallerArg, require, require_everywhere
from latentcrdt_server.bodies import declared_length, read_small
from latentcrdt_server.documents import PeersDocument
from latentcrdt_server.etags import none_match_fails, quote
from latentcrdt_server.grants import Scope
from latentcrdt_server.negotiation import MSGPACK_TYPES, answer, essence
from latentcrdt_server.openapi import (
    AFTER_QUERY,
    QUESTION_BODY,
    msgpack_answer,
    unchanged,
    v1_problems,
)
from latentcrdt_server.parameters import AfterArg, StateArg, no_params
from latentcrdt_server.service import ServiceArg

router = APIRouter(prefix="/v1", tags=["replication"])

MAX_QUESTION_BYTES = 2**19
"""The most nodes that one question may ask for, each by all of its 64 digits."""


@router.get(
    "/roots",
    dependencies=[no_params, require_everywhere(Scope.SYNC)],
    response_class=Response,
    responses=msgpack_answer("Roots of all states.") | unchanged("them") | v1_problems("forbidden"),
)
def roots(request: Request, service: ServiceArg) -> Response:
    """Tell the roots of all states; the ETag is their digest, equal on equal replicas."""
    found = service.replica.roots()
    headers = {"ETag": quote(str(found.digest)), "Feed-Cursor": str(found.cursor)}
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return _msgpack(found.encode(), headers)


@router.get(
    "/feed",
    dependencies=[require_everywhere(Scope.SYNC)],
    response_class=Response,
    openapi_extra=AFTER_QUERY,
    responses=msgpack_answer("A page of the feed.") | v1_problems("forbidden", "cursor_expired"),
)
def feed(service: ServiceArg, after: AfterArg) -> Response:
    """Tell what this replica learned since a cursor, or since it was opened."""
    return _msgpack(service.replica.changes(after).encode())


@router.post(
    "/states/{state}/sync",
    dependencies=[no_params, require(Scope.SYNC)],
    response_class=Response,
    openapi_extra=QUESTION_BODY,
    responses=msgpack_answer("The nodes asked for.")
    | v1_problems(
        *("invalid_state_name", "state_not_found", "forbidden", "malformed", "not_canonical"),
        *("unsupported_version", "unsupported_media_type", "too_large", "stalled_body", "busy"),
    ),
)
async def sync(
    request: Request, state: StateArg, service: ServiceArg, caller: CallerArg
) -> Response:
    """Answer one question of a comparison: nodes of the state's id tree."""
    given = essence(request.headers.get("content-type", ""))
    if given not in MSGPACK_TYPES:
        raise UnsupportedMediaTypeError(
            f"expected {MSGPACK_TYPES[0]}, got {given!r:.80}", expected=list(MSGPACK_TYPES)
        )
    declared_length(request.headers, MAX_QUESTION_BYTES)
    with caller.admit_body():
        body = await read_small(
            request.receive, limit=MAX_QUESTION_BYTES, timeout_s=service.settings.body_timeout_s
        )
    compare = partial(service.peer.compare, state, Question.decode(body))
    return _msgpack((await run_in_threadpool(compare)).encode())


@router.get(
    "/peers",
    dependencies=[no_params, require_everywhere(Scope.SYNC)],
    response_model=PeersDocument,
    responses=v1_problems("forbidden"),
)
def peers(request: Request, service: ServiceArg) -> Response:
    """Tell how this replica stands with each of its peers."""
    document: PeersDocument = {"peers": service.peering.documents()}
    return answer(request, document)


def _msgpack(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, headers=headers, media_type=MSGPACK_TYPES[0])
