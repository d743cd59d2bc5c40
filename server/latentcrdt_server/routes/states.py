"""States: declare, list, look into, and add what is held already."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request, Response

from latentcrdt.core.compatibility import class_of
from latentcrdt.core.documents import header_document
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import StateName
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
from latentcrdt_server.negotiation import answer
from latentcrdt_server.openapi import LIFETIME_QUERY, repeated, unchanged, v1_problems
from latentcrdt_server.parameters import ExpiresAtArg, FragmentIdArg, StateArg, no_params
from latentcrdt_server.service import Service, ServiceArg

router = APIRouter(prefix="/v1/states", tags=["states"])


@router.get("", dependencies=[no_params], response_model=StatesDocument, responses=v1_problems())
def list_states(request: Request, service: ServiceArg, caller: CallerArg) -> Response:
    """List every state that the caller may read, with its root digest and size."""
    document: StatesDocument = {
        "states": [_summary(name, service) for name in caller.states(Scope.READ)]
    }
    return answer(request, document)


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
    # The state may have grown since the snapshot; what the root covers is what is listed.
    current = service.replica.headers(state)
    members = [current[fragment_id] for fragment_id in snapshot.ids]
    classes = Counter(str(class_of(header)) for header in members)
    document: StateDocument = {
        "name": state,
        "root": str(snapshot.root),
        "classes": [{"id": name, "fragments": classes[name]} for name in sorted(classes)],
        "members": [_member(header, service) for header in members],
    }
    return answer(request, document, headers=headers)


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


def _summary(name: StateName, service: Service) -> StateSummaryDocument:
    state = service.replica.state(name)
    return {"name": name, "root": str(state.root), "fragments": len(state)}


def _member(header: FragmentHeader, service: Service) -> MemberDocument:
    key = service.replica.sort_key(header.fragment_id)
    return {**header_document(header), "key": key, "key_hex": key.hex()}
