"""``latentcrdt fetch``: one fragment into a file."""

from __future__ import annotations

from typing import Annotated

import typer

from latentcrdt.cli.options import DEFAULT_URL, JsonOption, OutputOption, ServerOption, checked
from latentcrdt.cli.output import console, print_json, short
from latentcrdt.cli.progress import progress
from latentcrdt.client import Client
from latentcrdt.core.documents import header_document
from latentcrdt.core.ids import FragmentId

IdArgument = Annotated[
    FragmentId,
    typer.Argument(
        metavar="ID", parser=checked(FragmentId.parse, "ID"), help="64 hexadecimal digits."
    ),
]


def fetch(
    fragment_id: IdArgument,
    output: OutputOption,
    server: ServerOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Fetch a fragment into a file.

    Every digest is checked on the way; the file appears only when it is whole.
    """
    with Client(server) as client, progress(short(fragment_id)) as on_progress:
        header = client.fetch_to(fragment_id, output, on_progress=on_progress)
    if as_json:
        print_json({"file": str(output), **header_document(header)})
    else:
        console().print(f"{fragment_id}  {header.seq_len} tokens, verified  {output}", markup=False)
