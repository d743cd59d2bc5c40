"""What routes read from a path and a query, with our own errors for what is wrong."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from latentcrdt.core.delta import MAX_EXPIRES_AT
from latentcrdt.core.ids import STATE_NAME_PATTERN, FragmentId, StateName
from latentcrdt.core.query import PARAMETERS, RenderQuery
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.errors import InvalidRequestError


def query_params(request: Request, known: frozenset[str]) -> dict[str, str]:
    """Return the query's parameters, each given once; InvalidRequestError names any other."""
    params: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in params:
            raise InvalidRequestError(f"parameter {name!r:.40}: expected it once, got it again")
        if name not in known:
            raise InvalidRequestError(f"expected parameters {sorted(known)}, got {name!r:.40}")
        params[name] = value
    return params


async def _state_name(
    state: Annotated[
        str, Path(description="Name of a state", json_schema_extra={"pattern": STATE_NAME_PATTERN})
    ],
) -> StateName:
    return StateName(state)


async def _fragment_id(
    fragment: Annotated[
        str, Path(description="Fragment id", json_schema_extra={"pattern": "^[0-9a-f]{64}$"})
    ],
) -> FragmentId:
    return FragmentId.parse(fragment)


async def _layers(request: Request) -> str | None:
    return query_params(request, frozenset({"layers"})).get("layers")


async def _after(request: Request) -> Cursor | None:
    after = query_params(request, frozenset({"after"})).get("after")
    return None if after is None else Cursor.parse(after)


async def _expires_at(request: Request) -> int | None:
    text = query_params(request, frozenset({"expires_at"})).get("expires_at")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:20]) > MAX_EXPIRES_AT:
        raise InvalidRequestError(
            f"expires_at: expected Unix seconds up to {MAX_EXPIRES_AT}, got {text!r:.40}"
        )
    return int(text)


async def _render_query(request: Request) -> RenderQuery:
    return RenderQuery.from_params(query_params(request, PARAMETERS))


async def _nothing(request: Request) -> None:
    query_params(request, frozenset())


StateArg = Annotated[StateName, Depends(_state_name)]
FragmentIdArg = Annotated[FragmentId, Depends(_fragment_id)]
LayersArg = Annotated[str | None, Depends(_layers)]
AfterArg = Annotated[Cursor | None, Depends(_after)]
ExpiresAtArg = Annotated[int | None, Depends(_expires_at)]
RenderQueryArg = Annotated[RenderQuery, Depends(_render_query)]
no_params = Depends(_nothing)
"""For routes whose query must be empty: a misspelt parameter is never passed over in silence."""
