"""Which routes need a token: the dependency that all of ``/v1`` shares."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from latentcrdt.errors import UnauthorizedError
from latentcrdt_server.service import ServiceArg

bearer = HTTPBearer(auto_error=False, description="Needed when the server has a token file.")


async def require_token(
    service: ServiceArg,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Let a request through if it needs no token or brought a valid one."""
    tokens = service.tokens
    if tokens is not None and (credentials is None or not tokens.allow(credentials.credentials)):
        raise UnauthorizedError("expected a valid token in 'Authorization: Bearer <token>'")
