"""``latentcrdt push``: fragment files into a state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentcrdt.cli.options import DEFAULT_URL, JsonOption, ServerOption, StateArgument
from latentcrdt.cli.output import console, print_json
from latentcrdt.cli.progress import progress
from latentcrdt.client import Client

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Fragment files."),
]


def push(
    state: StateArgument,
    files: Files,
    server: ServerOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Add fragment files to a state.

    A fragment that the server holds already is not sent again; pushing twice changes nothing.
    When this returns, the memberships are durable.
    """
    results = []
    with Client(server) as client:
        for file in files:
            with progress(file.name) as on_progress:
                result = client.push(state, file, on_progress=on_progress)
            results.append(
                {
                    "file": str(file),
                    "id": str(result.fragment_id),
                    "created": result.created,
                    "sent": result.sent,
                }
            )
            if not as_json:
                note = "added" if result.created else "was there already"
                console().print(f"{result.fragment_id}  {note}  {file}", markup=False)
    if as_json:
        print_json(results)
