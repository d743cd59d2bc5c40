"""``latentcrdt retract``: end a state for good."""

from __future__ import annotations

from typing import Annotated

import typer

from latentcrdt.cli.options import DEFAULT_URL, JsonOption, ServerOption, StateArgument
from latentcrdt.cli.output import console, print_json
from latentcrdt.client import Client

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def retract(
    state: StateArgument,
    server: ServerOption = DEFAULT_URL,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """End a state for good, on every replica: its name can never be used again.

    The space of fragments that no other state holds is given back.
    """
    if not yes:
        typer.confirm(f"retract state {state!r} on {server}, for good?", abort=True, err=True)
    with Client(server) as client:
        was_new = client.retract(state)
    if as_json:
        print_json({"name": state, "retracted": was_new})
    else:
        console().print(f"{state}  {'retracted' if was_new else 'was retracted already'}")
