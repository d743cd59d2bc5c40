"""The push: a fragment's bytes, verified and spooled while they arrive."""

from __future__ import annotations

from contextlib import ExitStack

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from latentcrdt.client.workers import finished
from latentcrdt.core.documents import header_document
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import (
    DigestMismatchError,
    FragmentNotFoundError,
    UnsupportedMediaTypeError,
)
from latentcrdt.replication.push import Push, PushResult
from latentcrdt_server.access import CallerArg, require
from latentcrdt_server.bodies import chunks, declared_length, pour
from latentcrdt_server.caller import Caller
from latentcrdt_server.documents import PushDocument
from latentcrdt_server.grants import Scope
from latentcrdt_server.header_watch import HeaderWatch
from latentcrdt_server.negotiation import answer, essence
from latentcrdt_server.openapi import FRAGMENT_TYPE, OCTETS_TYPE, PUSH_BODY, repeated, v1_problems
from latentcrdt_server.parameters import StateArg, no_params
from latentcrdt_server.service import Service, ServiceArg

router = APIRouter(tags=["fragments"])

HELD_BYTES = 8 * 2**20
"""Most memory that one push takes: a batch that fills, one being written, the store's own piece."""


@router.post(
    "/v1/states/{state}/fragments",
    dependencies=[no_params, require(Scope.ADD)],
    status_code=201,
    response_model=PushDocument,
    openapi_extra=PUSH_BODY,
    responses=repeated(PushDocument)
    | v1_problems(
        *("malformed", "truncated", "unsupported_dtype", "unsupported_version", "invalid_id"),
        *("invalid_state_name", "stalled_body", "too_large", "unsupported_media_type"),
        *("not_canonical", "digest_mismatch", "non_finite_keys", "busy"),
        *("state_not_found", "state_retracted", "forbidden", "quota_exceeded", "prefix_missing"),
        *("store_failed", "store_full"),
    ),
)
async def push(
    request: Request, state: StateArg, service: ServiceArg, caller: CallerArg
) -> Response:
    """Add a fragment to a state. Durable when answered; repeating it changes nothing."""
    _check_media_type(request)
    declared = request.headers.get("fragment-id")
    fragment_id = None if declared is None else FragmentId.parse(declared)
    if fragment_id is not None:
        try:
            created = await run_in_threadpool(caller.insert, state, fragment_id)
        except FragmentNotFoundError:
            pass
        else:
            service.metrics.dedupe_hits.inc()
            fragment = await run_in_threadpool(service.replica.fragments.get, fragment_id)
            return _answer(request, state, fragment.header, created=created)
    length = declared_length(request.headers, service.settings.max_fragment_bytes)
    held = HELD_BYTES if length is None else min(length, HELD_BYTES)
    with caller.admit_body(), service.pushes.admit(held):
        return await _take_in(request, service, caller, state, fragment_id)


async def _take_in(
    request: Request,
    service: Service,
    caller: Caller,
    state: StateName,
    fragment_id: FragmentId | None,
) -> Response:
    body = chunks(
        request.receive,
        limit=service.settings.max_fragment_bytes,
        timeout_s=service.settings.body_timeout_s,
    )
    opened = ExitStack()

    def begin() -> Push:
        begun = service.replica.begin_push(state, expected_id=fragment_id)
        return opened.enter_context(begun)

    def admit(header: FragmentHeader) -> None:
        caller.check_prefix(header, state)
        opened.enter_context(caller.reserve(header))

    def commit(arrived: Push) -> PushResult:
        # In one worker: each hop to another costs a small push as much as a pass over its bytes.
        with opened:
            return arrived.commit()

    try:
        arriving = await finished(run_in_threadpool(begin))
        watch = HeaderWatch(arriving.write, admit)
        service.metrics.push_bytes.inc(await pour(body, watch.write))
        result = await finished(run_in_threadpool(commit, arriving))
    except BaseException as error:
        await finished(run_in_threadpool(opened.close))
        if isinstance(error, DigestMismatchError):
            service.metrics.digest_mismatches.inc()
        raise
    return _answer(request, state, result.header, created=result.created)


def _answer(
    request: Request, state: StateName, header: FragmentHeader, *, created: bool
) -> Response:
    fragment_id = str(header.fragment_id)
    document: PushDocument = {
        "id": fragment_id,
        "state": state,
        "created": created,
        "fragment": header_document(header),
    }
    headers = {"Location": f"/v1/fragments/{fragment_id}", "Fragment-Id": fragment_id}
    return answer(request, document, status=201 if created else 200, headers=headers)


def _check_media_type(request: Request) -> None:
    """Refuse what is not, by its own word, a plain fragment file.

    A page of any web site may send a body of no stated type here, and none of these types: without
    a token, this is what keeps it out.
    """
    given = essence(request.headers.get("content-type", ""))
    if given not in (FRAGMENT_TYPE, OCTETS_TYPE):
        raise UnsupportedMediaTypeError(
            f"expected {FRAGMENT_TYPE} or {OCTETS_TYPE}, got {given!r:.80}",
            expected=[FRAGMENT_TYPE, OCTETS_TYPE],
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise UnsupportedMediaTypeError(
            f"expected a body without content coding, got {coding!r:.40}", expected=["identity"]
        )
