"""``latentcrdt verify``: whether a fragment, a render or a receipt is what it says."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from latentcrdt.cli.fragment_files import fetch_fragments, find_fragments
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json
from latentcrdt.client import Client
from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.claims import ClaimedPlan, parse_document, read_receipt
from latentcrdt.core.container import FRAGMENT_MAGIC, RENDER_MAGIC
from latentcrdt.core.derivation import Operation
from latentcrdt.core.derived_receipt import (
    derivation_document,
    read_derivation,
    read_derived_render,
    split_document,
)
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.documents import header_document, plan_document
from latentcrdt.core.encoding import Hasher
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.render_reader import RenderReader

PIECE_BYTES = 1 << 20
"""Of a render file, what is in memory at a time."""

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, help="Fragment, render or receipt file."
    ),
]
ReceiptOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", exists=True, dir_okay=False, help="Compare a render with this receipt."
    ),
]
FragmentsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", exists=True, file_okay=False, help="Prove a receipt with these fragments."
    ),
]
ProofServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        "-s",
        metavar="URL",
        envvar="LATENTCRDT_SERVER",
        help="Prove a receipt with fragments fetched from here.",
    ),
]


def verify(
    file: FileArgument,
    receipt: ReceiptOption = None,
    fragments: FragmentsOption = None,
    server: ProofServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a fragment, a render or a receipt.

    A fragment: its one spelling, every section's digest, every key. A render: its structure, and
    with --receipt every section's digest. A receipt: everything in it, by rendering again from the
    fragments. Of what differs, the first is named.
    """
    with file.open("rb") as opened:
        magic = opened.read(len(FRAGMENT_MAGIC))
    if receipt is not None and magic != RENDER_MAGIC:
        raise typer.BadParameter("--receipt belongs to a render; this file is none")
    if fragments is not None and magic in (FRAGMENT_MAGIC, RENDER_MAGIC):
        raise typer.BadParameter("--fragments belongs to a receipt; this file is none")
    if magic == FRAGMENT_MAGIC:
        document, summary = _verify_fragment(file)
    elif magic == RENDER_MAGIC:
        document, summary = _verify_render(file, receipt)
    else:
        document, summary = _verify_receipt(file, fragments, server)
    if as_json:
        print_json({"file": str(file), **document})
    else:
        console().print(summary, markup=False)


def _verify_fragment(file: Path) -> tuple[dict[str, Any], str]:
    # numpy is loaded only where keys are looked at: help texts should appear at once.
    from latentcrdt.render.sort_key import check_keys, sort_key  # noqa: PLC0415

    fragment = Fragment.from_buffer(map_file(file))
    check_keys(fragment)
    key = sort_key(fragment)
    header = header_document(fragment.header)
    return (
        {"kind": "fragment", **header, "key": key, "key_hex": key.hex()},
        f"fragment {fragment.fragment_id}: every digest and every key is good",
    )


def _verify_render(file: Path, receipt: Path | None) -> tuple[dict[str, Any], str]:
    claimed = None
    if receipt is not None:
        claimed, _ = split_document(parse_document(receipt.read_bytes()))

    def begin(plan: RenderPlan) -> RunDigester | None:
        return None if receipt is None else RunDigester(plan, read_receipt(claimed, plan))

    reader = RenderReader(max_bytes=file.stat().st_size, begin=begin)
    hasher = Hasher()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            reader.feed(piece)
            hasher.update(piece)
    plan, _ = reader.finish()
    digest = hasher.digest().hex()
    checked = "well-formed" if receipt is None else "every digest is that of the receipt"
    return (
        {
            "kind": "render",
            "receipt_checked": receipt is not None,
            "digest": digest,
            **plan_document(plan),
        },
        f"render {plan.render_id}: {checked}\ndigest {digest}",
    )


def _verify_receipt(
    file: Path, folder: Path | None, server: str | None
) -> tuple[dict[str, Any], str]:

    document, further = split_document(parse_document(file.read_bytes()))
    # What was derived is proven by what it was derived from.
    provable = document if further is None else further["base"]
    claimed = ClaimedPlan.of(provable)
    wanted = dict.fromkeys((*claimed.prefixes, *claimed.order))
    if folder is not None:
        return _proven(document, further, find_fragments(folder, wanted))
    if server is not None:
        with Client(server) as client, tempfile.TemporaryDirectory() as scratch:
            return _proven(document, further, fetch_fragments(client, Path(scratch), wanted))
    raise typer.BadParameter("a receipt is proven with fragments: --fragments or --server")


def _proven(
    document: Any, further: Mapping[str, Any] | None, fragments: Mapping[FragmentId, Fragment]
) -> tuple[dict[str, Any], str]:
    from latentcrdt.merging.proof import prove_merge  # noqa: PLC0415 - as above
    from latentcrdt.render.proof import prove  # noqa: PLC0415 - as above

    receipt = prove(document if further is None else further["base"], fragments)
    order = "canonical" if receipt.is_canonical else "bag"
    num_sections = len(receipt.digests)
    summary = (
        f"receipt of render {receipt.plan.render_id}: rendered again from {len(fragments)} "
        f"fragments, in {order} order, equal in all {num_sections} sections"
    )
    proven: dict[str, Any] = {
        "kind": "receipt",
        "order": order,
        "sections": num_sections,
        **plan_document(receipt.plan),
    }
    if further is None:
        return proven, summary
    derivation = read_derivation(further, receipt.plan)
    made = f"{derivation.operation} {derivation.method}"
    proven |= {"derivation": derivation_document(derivation)}
    if derivation.operation is Operation.MERGE:
        merged = prove_merge(document, derivation, receipt, fragments).render
        (placement,) = merged.plan.placements
        return proven | {"derived": str(placement.fragment_id)}, (
            f"{summary}\nrender {merged.plan.render_id}: merged again ({made}), equal in all "
            f"{len(merged.digests)} sections"
        )
    (placement,) = read_derived_render(document, receipt.plan).plan.placements
    derived = placement.fragment_id
    return proven | {"derived": str(derived)}, (
        f"{summary}\nderived fragment {derived}: its derivation ({made}) is of this render; "
        f"whether that made this fragment needs the model to verify"
    )
