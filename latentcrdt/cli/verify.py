"""``latentcrdt verify``: whether a fragment or render file is what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from latentcrdt.cli.container_file import open_container
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json
from latentcrdt.core.documents import header_document, plan_document, read_receipt
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.rendered import Render
from latentcrdt.errors import MalformedError

FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Fragment or render file."),
]
ReceiptOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="A render's receipt, as JSON."),
]


def verify(file: FileArgument, receipt: ReceiptOption = None, as_json: JsonOption = False) -> None:
    """Check a fragment or render file.

    A fragment: its one spelling, every section's digest, every key. A render: its structure, and
    with --receipt every section's digest; the first that differs is named.
    """
    content = open_container(file)
    if isinstance(content, Fragment):
        if receipt is not None:
            raise typer.BadParameter("a receipt belongs to a render; this is a fragment")
        document = _verify_fragment(content)
        summary = f"fragment {content.fragment_id}: every digest and every key is good"
    else:
        document = _verify_render(content, receipt)
        checked = "every digest is that of the receipt" if receipt else "well-formed"
        summary = f"render {content.plan.render_id}: {checked}\ndigest {content.digest}"
    if as_json:
        print_json({"file": str(file), **document})
    else:
        console().print(summary, markup=False)


def _verify_fragment(fragment: Fragment) -> dict[str, Any]:
    # numpy is loaded only where keys are looked at: help texts should appear at once.
    from latentcrdt.render.sort_key import check_keys, sort_key  # noqa: PLC0415

    fragment.verify()
    check_keys(fragment)
    key = sort_key(fragment)
    header = header_document(fragment.header)
    return {"kind": "fragment", **header, "key": key, "key_hex": key.hex()}


def _verify_render(render: Render, receipt: Path | None) -> dict[str, Any]:
    if receipt is not None:
        try:
            document = json.loads(receipt.read_bytes())
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"{receipt}: expected a receipt as JSON: {error}") from error
        read_receipt(document, render.plan).check(render.run_digests())
    return {
        "kind": "render",
        "receipt_checked": receipt is not None,
        "digest": str(render.digest),
        **plan_document(render.plan),
    }
