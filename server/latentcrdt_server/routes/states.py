"""States: declare, list, look into, and add what is held already."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request, Response

from latentcrdt.core.documents import summary_document
from latentcrdt.core.ids import StateName
from latentcrdt.core.summary import Summary
from latentcrdt.replication.states import StateOverview
from latentcrdt_server.access import CallerArg, require
from latentcrdt_server.documents import (
    DeclareDocument,
    InsertDocument,
    MemberDocument,
    RetractDocument,
    StateDocument,
    StatesDocument,
    StateSummaryDocument,
)
from latentcrdt_server.etags import none_match_fails, quote
from latentcrdt_server.grants import Scope
from latentcrdt_server.negotiation import answer, stream
from latentcrdt_server.openapi import LIFETIME_QUERY, repeated, unchanged, v1_problems
from latentcrdt_server.parameters import ExpiresAtArg, FragmentIdArg, StateArg, no_params
from latentcrdt_server.service import ServiceArg

router = APIRouter(prefix="/v1/states", tags=["states"])


@router.get("", dependencies=[no_params], response_model=StatesDocument, responses=v1_problems())
def list_states(request: Request, service: ServiceArg, caller: CallerArg) -> Response:
    """List every state that the caller may read, with its root digest and size."""
    found = service.replica.overview()
    states = [(name, found[name]) for name in caller.states(Scope.READ) if name in found]
    return stream(request, {}, "states", states, _state_document)


@router.get(
    "/{state}",
    dependencies=[no_params, require(Scope.READ)],
    response_model=StateDocument,
    responses=unchanged("this state")
    | v1_problems(
        *("invalid_state_name", "state_not_found", "state_retracted", "forbidden"),
        "corrupt_fragment",
    ),
)
def read_state(request: Request, state: StateArg, service: ServiceArg) -> Response:
    """List a state's members with header, class and sort key; the ETag is the root digest."""
    snapshot = service.replica.state(state)
    headers = {"ETag": quote(str(snapshot.root)), "Vary": "Accept"}
    if none_match_fails(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    members = list(service.replica.fragments.summaries(snapshot.ids).values())
    classes = Counter(member.class_id for member in members)
    document = {
        "name": state,
        "root": str(snapshot.root),
        "classes": [{"id": str(i), "fragments": classes[i]} for i in sorted(classes)],
    }
    return stream(request, document, "members", members, _member_document, headers=headers)


@router.put(
    "/{state}",
    dependencies=[require(Scope.ADD)],
    status_code=201,
    response_model=DeclareDocument,
    openapi_extra=LIFETIME_QUERY,
    responses=repeated(DeclareDocument)
    | v1_problems(
        *("invalid_state_name", "state_not_found", "state_retracted", "forbidden"),
        *("store_failed", "store_full"),
    ),
)
def declare(
    request: Request, state: StateArg, expires_at: ExpiresAtArg, service: ServiceArg
) -> Response:
    """Declare a state, so that it can be read while it is empty, or let it last for longer."""
    created = service.replica.declare(state, expires_at=expires_at)
    document: DeclareDocument = {"name": state, "created": created}
    return answer(request, document, status=201 if created else 200)


@router.delete(
    "/{state}",
    dependencies=[no_params, require(Scope.ADMIN)],
    response_model=RetractDocument,
    responses=v1_problems(
        *("invalid_state_name", "state_not_found", "forbidden", "store_failed", "store_full")
    ),
)
def retract(request: Request, state: StateArg, service: ServiceArg) -> Response:
    """End a state for good, here and on every replica; nothing brings it back."""
    document: RetractDocument = {"name": state, "retracted": service.replica.retract(state)}
    return answer(request, document)


@router.put(
    "/{state}/members/{fragment}",
    dependencies=[no_params, require(Scope.ADD)],
    status_code=201,
    response_model=InsertDocument,
    responses=repeated(InsertDocument)
    | v1_problems(
        *("invalid_state_name", "invalid_id", "state_not_found", "fragment_not_found"),
        *("state_retracted", "forbidden", "quota_exceeded", "busy", "store_failed", "store_full"),
    ),
)
def insert(
    request: Request, state: StateArg, fragment: FragmentIdArg, caller: CallerArg
) -> Response:
    """Add a fragment that is held already, without sending it again."""
    created = caller.insert(state, fragment)
    document: InsertDocument = {"id": str(fragment), "state": state, "created": created}
    return answer(request, document, status=201 if created else 200)


def _state_document(named: tuple[StateName, StateOverview]) -> StateSummaryDocument:
    name, state = named
    return {"name": name, "root": str(state.root), "fragments": state.num_fragments}


def _member_document(summary: Summary) -> MemberDocument:
    key = summary.sort_key
    assert key is not None
    return {**summary_document(summary), "key": key, "key_hex": key.hex()}
