"""The calls of the HTTP API as values: what to ask, and how to read the answer.

Rule: nothing here does I/O, so that one set of calls serves every client and is tested as plain
functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from latentcrdt.client.answers import Answer, read_json
from latentcrdt.client.pushed_body import FragmentBody
from latentcrdt.client.values import (
    MAX_COUNT,
    PeerStatus,
    PushResult,
    StateListing,
    StateSummary,
    read_flag,
    read_ids,
    read_listing,
    read_peers,
    read_summaries,
    reading,
)
from latentcrdt.core.documents import PlanDocument, ReceiptDocument
from latentcrdt.core.encoding import as_int
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import UnexpectedAnswerError

T = TypeVar("T")

FRAGMENT_TYPE = "application/vnd.latentcrdt.fragment"
RENDER_TYPE = "application/vnd.latentcrdt.render"
JSON_TYPE = "application/json"

MAX_IDS_PER_CALL = 10_000
"""Ids that one question for missing fragments may hold: the server's limit."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, idempotent as all of this API is, and the reading of a successful answer."""

    method: str
    path: str
    read: Callable[[Answer], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: {"accept": JSON_TYPE})
    body: FragmentBody | bytes | None = None


def states() -> Call[list[StateSummary]]:
    """Ask for the names, roots and sizes of all states."""
    return Call("GET", "/v1/states", lambda answer: read_summaries(read_json(answer)))


def peers() -> Call[list[PeerStatus]]:
    """Ask how the server stands with its peers."""
    return Call("GET", "/v1/peers", lambda answer: read_peers(read_json(answer)))


def state(name: StateName) -> Call[StateListing]:
    """Ask for a state's members."""
    return Call("GET", f"/v1/states/{name}", lambda answer: read_listing(read_json(answer), name))


def declare(name: StateName, expires_at: int | None) -> Call[bool]:
    """Ask that a state exist, until a time in Unix seconds; the answer: whether that is new."""
    params = {} if expires_at is None else {"expires_at": str(expires_at)}
    return Call("PUT", f"/v1/states/{name}", _read_created, params)


def retract(name: StateName) -> Call[bool]:
    """Ask that a state end for good; the answer is whether it had not yet."""

    def read(answer: Answer) -> bool:
        document = read_json(answer)
        with reading("an answer with 'retracted'"):
            return read_flag(document, "retracted")

    return Call("DELETE", f"/v1/states/{name}", read)


def insert(name: StateName, fragment_id: FragmentId) -> Call[bool]:
    """Ask that a fragment which the server holds become a member; the answer: it was not yet."""
    return Call("PUT", f"/v1/states/{name}/members/{fragment_id}", _read_created)


def push(name: StateName, body: FragmentBody, *, on_invitation: bool) -> Call[PushResult]:
    """Send a fragment; ``on_invitation``: only once the server, shown the id, asks for it."""

    def read(answer: Answer) -> PushResult:
        document = read_json(answer)
        with reading("the result of a push"):
            stored, created = FragmentId.parse(document["id"]), read_flag(document, "created")
        if stored != body.fragment_id:
            raise UnexpectedAnswerError(
                f"pushed fragment {body.fragment_id}, got an acknowledgement of {stored}"
            )
        return PushResult(stored, created, sent=body.is_begun)

    headers = {
        "accept": JSON_TYPE,
        "content-type": FRAGMENT_TYPE,
        "content-length": str(body.num_bytes),
        "fragment-id": str(body.fragment_id),
    }
    if on_invitation:
        headers["expect"] = "100-continue"
    return Call("POST", f"/v1/states/{name}/fragments", read, headers=headers, body=body)


def missing(ids: Sequence[FragmentId]) -> Call[list[FragmentId]]:
    """Ask which of these fragments the server lacks; at most ``MAX_IDS_PER_CALL``."""

    def read(answer: Answer) -> list[FragmentId]:
        document = read_json(answer)
        with reading("a list of missing ids"):
            lacking = read_ids(document["missing"], "missing")
        if not set(lacking) <= set(ids):
            raise UnexpectedAnswerError("expected missing ids among those asked for, got others")
        return lacking

    body = json.dumps({"ids": [str(fragment_id) for fragment_id in ids]}).encode()
    headers = {"accept": JSON_TYPE, "content-type": JSON_TYPE}
    return Call("POST", "/v1/fragments/missing", read, headers=headers, body=body)


def fragment_bytes(fragment_id: FragmentId) -> Call[int]:
    """Ask how long a fragment's file is (good for showing progress, not for taking memory)."""

    def read(answer: Answer) -> int:
        with reading("a Content-Length"):
            return as_int(int(answer.headers["content-length"]), "content-length", 0, MAX_COUNT)

    return Call("HEAD", f"/v1/fragments/{fragment_id}", read)


def fragment_start(fragment_id: FragmentId, num_bytes: int) -> Call[bytes]:
    """Ask for the first bytes of a fragment file: all of them if it has no more."""

    def read(answer: Answer) -> bytes:
        if answer.status != 206 or len(answer.body) > num_bytes:
            raise UnexpectedAnswerError(
                f"fragment {fragment_id}: expected its first {num_bytes} bytes with status 206, "
                f"got {len(answer.body)} with {answer.status}",
                status=answer.status,
            )
        return answer.body

    headers = {"accept": FRAGMENT_TYPE, "range": f"bytes=0-{num_bytes - 1}"}
    return Call("GET", f"/v1/fragments/{fragment_id}", read, headers=headers)


def plan(name: StateName, query: RenderQuery) -> Call[PlanDocument]:
    """Ask for the plan of a render."""

    def read(answer: Answer) -> PlanDocument:
        document = read_json(answer)
        _check_keys(document, PlanDocument.__required_keys__, "a plan")
        return cast("PlanDocument", document)

    return Call("GET", f"/v1/states/{name}/plan", read, query.to_params())


def receipt(name: StateName, query: RenderQuery) -> Call[ReceiptDocument]:
    """Ask for the receipt of a render."""

    def read(answer: Answer) -> ReceiptDocument:
        document = read_json(answer)
        _check_keys(document, ReceiptDocument.__required_keys__, "a receipt")
        return cast("ReceiptDocument", document)

    return Call("GET", f"/v1/states/{name}/receipt", read, query.to_params())


def _read_created(answer: Answer) -> bool:
    document = read_json(answer)
    with reading("an answer with 'created'"):
        return read_flag(document, "created")


def _check_keys(document: Any, keys: Iterable[str], what: str) -> None:
    with reading(what):
        for key in keys:
            document[key]
