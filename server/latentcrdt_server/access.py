"""Who may ask, and for what: the dependencies that all of ``/v1`` shares, and those of a route."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from latentcrdt.client.loopback import is_loopback
from latentcrdt.errors import InvalidRequestError, UnauthorizedError
from latentcrdt_server.account import Account
from latentcrdt_server.caller import Caller
from latentcrdt_server.grants import Scope
from latentcrdt_server.parameters import StateArg
from latentcrdt_server.service import ServiceArg

bearer = HTTPBearer(auto_error=False, description="Needed when the server has a token file.")


async def require_token(
    service: ServiceArg,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Account | None:
    """Return the account that the request's token opens; None if no token is needed."""
    if service.tokens is None:
        return None
    account = service.tokens.identify(credentials.credentials) if credentials else None
    if account is None:
        raise UnauthorizedError("expected a valid token in 'Authorization: Bearer <token>'")
    return account


async def _caller(
    service: ServiceArg, account: Annotated[Account | None, Depends(require_token)]
) -> Caller:
    return Caller(account, service.replica, service.store)


CallerArg = Annotated[Caller, Depends(_caller)]
"""How a route asks who its caller is."""


def require(scope: Scope) -> Any:
    """Return the dependency of a route on ``{state}`` whose callers need a scope there."""

    async def check(caller: CallerArg, state: StateArg) -> None:
        caller.check(scope, state)

    return Depends(check)


def require_somewhere(scope: Scope) -> Any:
    """Return the dependency of a route on no one state whose callers need a scope on some."""

    async def check(caller: CallerArg) -> None:
        caller.check_somewhere(scope)

    return Depends(check)


def require_everywhere(scope: Scope) -> Any:
    """Return the dependency of a route on all states at once whose callers need a scope on each."""

    async def check(caller: CallerArg) -> None:
        caller.check_everywhere(scope)

    return Depends(check)


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


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
