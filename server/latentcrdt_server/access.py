"""Who may ask: the dependencies that all of ``/v1`` shares."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from latentcrdt.errors import InvalidRequestError, UnauthorizedError
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


async def require_own_host(request: Request, service: ServiceArg) -> None:
    """Refuse a foreign Host where being on this machine is all that a caller has to prove.

    A web site may point its own name at 127.0.0.1 and have a browser here ask for it (DNS
    rebinding); the Host header then still has the site's name.
    """
    if service.tokens is None and is_loopback(service.settings.host):
        host = request.headers.get("host", "")
        if not is_loopback(_without_port(host)):
            raise InvalidRequestError(
                f"Host: expected localhost or a loopback address, got {host!r:.80}; "
                "a server that is reached by other names needs a token file"
            )


def is_loopback(host: str) -> bool:
    """Return whether a host, a name or an address, is this machine as only itself can see it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
