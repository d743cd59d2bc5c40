"""``latentcrdt token``: make the tokens that open a server."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

import typer

from latentcrdt.core.encoding import digest

TOKEN_PREFIX = "latentcrdt_"  # noqa: S105 - what every token begins with
"""So that people, and programs that look for secrets in wrong places, know a token by sight."""

TOKEN_BYTES = 32
"""Random bytes of a token. No one guesses it, so a fast digest of it is safe to keep."""

token = typer.Typer(no_args_is_help=True, help="Make the tokens that open a server.")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Whose token it is; the server's messages say it.")
]
StatesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="PATTERN",
        help="A state's name, or how names begin and `*`. Repeatable; all states if left out.",
    ),
]
ScopesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="[read|add|sync|admin]",
        help="What it allows there. Repeatable; read and add if left out.",
    ),
]


@token.callback()
def _token() -> None:
    """Make the tokens that open a server."""


@token.command()
def new(name: NameArgument, states: StatesOption = None, scopes: ScopesOption = None) -> None:
    """Make a token and its entry in a server's token file.

    The entry, on stdout, can be appended as it is, and holds only a digest. The token, on stderr,
    is shown this once: give it to whoever will use it, as LATENTCRDT_TOKEN. Then start the server
    again. A quota is added by hand: `quota = { bytes = 10_000_000_000 }`.
    """
    secret = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    entry = {
        "name": name,
        "digest": digest(secret.encode()).hex(),
        "grants": [{"states": states or ["*"], "scopes": scopes or ["read", "add"]}],
    }
    _check(entry)
    typer.echo(_toml(entry))
    typer.echo(secret, err=True)


def _check(entry: dict[str, Any]) -> None:
    # The server's dependencies are an extra, and loading them takes a while: only when asked.
    try:
        from latentcrdt_server.principals import Principal  # noqa: PLC0415
        from pydantic import ValidationError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(
            f"this needs {error.name}, which is not installed: pip install 'latentcrdt[server]'",
            err=True,
        )
        raise typer.Exit(1) from error
    try:
        Principal.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _toml(entry: dict[str, Any]) -> str:
    """Return the entry as TOML, in which text and arrays of plain text are spelt as in JSON."""
    (grant,) = entry["grants"]
    states, scopes = json.dumps(grant["states"]), json.dumps(grant["scopes"])
    return "\n".join(
        [
            "[[principal]]",
            f"name = {json.dumps(entry['name'])}",
            f"digest = {json.dumps(entry['digest'])}",
            f"grants = [{{ states = {states}, scopes = {scopes} }}]",
        ]
    )
