"""Options that several subcommands share: one spelling, one help text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from latentcrdt.client.wire import DEFAULT_URL
from latentcrdt.core.ids import StateName
from latentcrdt.errors import InvalidInputError

T = TypeVar("T")


def checked(parse: Callable[[str], T], name: str) -> Callable[[str], T]:
    """Return a parser whose refusal is a usage error: status 2, with the option named."""

    def parse_option(text: str) -> T:
        try:
            return parse(text)
        except InvalidInputError as error:
            raise typer.BadParameter(error.message) from error

    # typer shows the parser's name as the value's type.
    parse_option.__name__ = name
    return parse_option


ServerOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--server",
        "-s",
        metavar="URL",
        envvar="LATENTCRDT_SERVER",
        help="Address of the server. A token, if it needs one: LATENTCRDT_TOKEN.",
    ),
]

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")
]

OutputOption: TypeAlias = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="File to write.")
]

StateArgument: TypeAlias = Annotated[
    StateName,
    typer.Argument(metavar="STATE", parser=checked(StateName, "STATE"), help="Name of a state."),
]

__all__ = ["DEFAULT_URL", "JsonOption", "OutputOption", "ServerOption", "StateArgument", "checked"]
