"""Fragments by id: immutable bytes, and which of them are missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import LayerRange
from latentcrdt.errors import InvalidRequestError
from latentcrdt_server.access import CallerArg, require_somewhere
from latentcrdt_server.bodies import declared_length, read_small
from latentcrdt_server.documents import MissingDocument
from latentcrdt_server.grants import Scope
from latentcrdt_server.negotiation import answer, read_document
from latentcrdt_server.openapi import (
    FRAGMENT_TYPE,
    IDS_BODY,
    LAYERS_QUERY,
    OCTETS_TYPE,
    binary_answers,
    problems,
    v1_problems,
)
from latentcrdt_server.parameters import FragmentIdArg, LayersArg, no_params
from latentcrdt_server.service import Service, ServiceArg
from latentcrdt_server.streaming import mapped_slices
from latentcrdt_server.transfer import Representation, transfer

router = APIRouter(prefix="/v1/fragments", tags=["fragments"])

MAX_IDS = 10_000
"""Ids in one question for missing fragments."""

MAX_IDS_BYTES = 2**20
"""Enough for that many ids in either encoding, with room for white space."""

IMMUTABLE = "max-age=31536000, immutable"
"""An id names its bytes for ever; a year is the longest that caches honour."""


@router.post(
    "/missing",
    dependencies=[no_params, require_somewhere(Scope.ADD)],
    response_model=MissingDocument,
    openapi_extra=IDS_BODY,
    responses=v1_problems("invalid_id", "too_large", "unsupported_media_type", "stalled_body")
    | problems("forbidden", "busy"),
)
async def missing(request: Request, service: ServiceArg, caller: CallerArg) -> Response:
    """Ask which of these fragments are not held where the caller may read or add."""
    declared_length(request.headers, MAX_IDS_BYTES)
    with caller.admit_body():
        body = await read_small(
            request.receive, limit=MAX_IDS_BYTES, timeout_s=service.settings.body_timeout_s
        )
    ids = _read_ids(read_document(request.headers.get("content-type"), body))
    lacking = await run_in_threadpool(caller.missing, ids)
    document: MissingDocument = {"missing": [str(fragment_id) for fragment_id in lacking]}
    return answer(request, document)


@router.head("/{fragment}", include_in_schema=False)
@router.get(
    "/{fragment}",
    response_class=Response,
    openapi_extra=LAYERS_QUERY,
    responses=binary_answers(FRAGMENT_TYPE, OCTETS_TYPE)
    | v1_problems(
        *("invalid_id", "fragment_not_found", "range_not_satisfiable", "corrupt_fragment", "busy")
    ),
)
def fetch(
    request: Request,
    fragment: FragmentIdArg,
    layers: LayersArg,
    service: ServiceArg,
    caller: CallerArg,
) -> Response:
    """Fetch a fragment file, or with `layers=` the bare sections of those layers, K before V."""
    caller.check_readable(fragment)
    found = service.replica.fragments.get(fragment)
    if layers is None:
        return transfer(request, _file(found, service), service.streams)
    return transfer(request, _layers(found, layers, service), service.streams)


def _file(fragment: Fragment, service: Service) -> Representation:
    fragment_id = str(fragment.fragment_id)
    parts = (memoryview(fragment.framing), fragment.body)
    return _bytes(fragment_id, fragment_id, FRAGMENT_TYPE, parts, service)


def _layers(fragment: Fragment, layers: str, service: Service) -> Representation:
    header = fragment.header
    chosen = LayerRange.parse(layers, len(header.geometry.layers))
    first = header.keys_section(chosen.first)
    last = header.values_section(chosen.stop - 1)
    body = fragment.body[first.offset : last.stop]
    fragment_id = str(header.fragment_id)
    etag = f"{fragment_id}.{chosen.first}-{chosen.stop}"
    return _bytes(fragment_id, etag, OCTETS_TYPE, (body,), service)


def _bytes(
    fragment_id: str, etag: str, media_type: str, parts: Sequence[memoryview], service: Service
) -> Representation:
    scope = "public" if service.tokens is None else "private"
    return Representation(
        etag=etag,
        length=sum(map(len, parts)),
        media_type=media_type,
        headers={"Cache-Control": f"{scope}, {IMMUTABLE}", "Fragment-Id": fragment_id},
        slices=partial(mapped_slices, parts),
        on_end=lambda num_bytes, _seconds: service.metrics.fetch_bytes.inc(num_bytes),
    )


def _read_ids(document: Any) -> list[FragmentId]:
    ids = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(ids, list) or not all(isinstance(text, str) for text in ids):
        raise InvalidRequestError('expected {"ids": [text, ...]}, got another document')
    if len(ids) > MAX_IDS:
        raise InvalidRequestError(f"expected at most {MAX_IDS} ids, got {len(ids)}", limit=MAX_IDS)
    return [FragmentId.parse(text) for text in ids]
