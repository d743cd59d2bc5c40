"""``latentcrdt render``: a state's render into a file."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from latentcrdt.cli.options import (
    DEFAULT_URL,
    JsonOption,
    OutputOption,
    ServerOption,
    StateArgument,
    checked,
)
from latentcrdt.cli.output import console, print_json, size
from latentcrdt.cli.progress import progress
from latentcrdt.client import Client
from latentcrdt.client.atomic_file import replacing
from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.derived import Derived
from latentcrdt.core.derived_receipt import DerivedReceiptDocument, derived_receipt_document
from latentcrdt.core.documents import plan_document, receipt_document, reuse_document
from latentcrdt.core.ids import ClassId, FragmentId, StateName
from latentcrdt.core.plan import Layout
from latentcrdt.core.query import CANONICAL, RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse


class Where(StrEnum):
    """Where a render is computed; its bytes are the same."""

    SERVER = "server"
    CLIENT = "client"


def _read_order(text: str) -> tuple[FragmentId, ...] | None:
    return None if text == CANONICAL else tuple(map(FragmentId.parse, text.split(",")))


LayoutOption = Annotated[
    Layout,
    typer.Option(help="Fragments one after another, all at the same positions, or in slots."),
]
StrideOption = Annotated[
    int | None, typer.Option(min=1, metavar="TOKENS", help="Tokens between slots.")
]
OrderOption = Annotated[
    str,
    typer.Option(
        metavar="canonical|ID,ID,...",
        help="canonical, or BagMerge: these fragments in this order.",
    ),
]
ClassOption = Annotated[
    ClassId | None,
    typer.Option(
        "--class",
        metavar="ID",
        parser=checked(ClassId.parse, "ID"),
        help="Which class to render, if the state holds several (see ls).",
    ),
]
LayersOption = Annotated[
    str | None, typer.Option(metavar="A:B", help="Only layers A to B - 1; all if left out.")
]
MergeOption = Annotated[
    str | None,
    typer.Option(
        metavar="STRATEGY[:name=number,...]",
        help="Blend branches of one prefix instead, by a strategy (see strategies).",
    ),
]
WhereOption = Annotated[
    Where | None, typer.Option(help="Render there, or here from the fragments: the same bytes.")
]
ReceiptOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write the receipt here, as JSON."),
]
PreviousOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="An earlier render: the new one is made here, of what that one holds and the rest.",
    ),
]


def render(  # noqa: PLR0917 - typer passes every option by name
    state: StateArgument,
    output: OutputOption,
    layout: LayoutOption = Layout.SEQUENTIAL,
    order: OrderOption = CANONICAL,
    class_id: ClassOption = None,
    layers: LayersOption = None,
    stride: StrideOption = None,
    merge: MergeOption = None,
    where: WhereOption = None,
    receipt: ReceiptOption = None,
    previous: PreviousOption = None,
    server: ServerOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Render a state into a file.

    The same set of fragments gives the same bytes on any machine. What the server sends is checked
    against its receipt; with --where client nothing is believed but the fragments.
    """
    if previous is not None and merge is not None:
        raise typer.BadParameter("--previous has other rows than a merge")
    if previous is not None and where is Where.SERVER:
        raise typer.BadParameter("--previous is for a render that is made here: --where client")
    earlier = None if previous is None else Render.from_buffer(map_file(previous))
    query = RenderQuery(
        layout=layout,
        stride=stride,
        order=checked(_read_order, "order")(order),
        class_id=class_id,
        layers=layers,
        merge=merge,
    )
    with Client(server) as client:
        there: Literal["server", "client"] | None = None if where is None else where.value
        derived = None
        with progress(state) as on_progress:
            if merge is None:
                rendered = client.render(
                    state, query, where=there, previous=earlier, on_progress=on_progress
                )
            else:
                derived = client.derive(state, query, where=there, on_progress=on_progress)
                rendered = derived.render
        if receipt is not None:
            spelled = (
                receipt_document(client.receipt_for(state, rendered.plan, query))
                if derived is None
                else _merge_receipt(client, state, query, derived)
            )
            with replacing(receipt) as file:
                file.write(json.dumps(spelled, indent=2).encode() + b"\n")
    with replacing(output) as file:
        file.write(rendered.plan.framing)
        file.write(rendered.body)
    plan = rendered.plan
    reuse = None if earlier is None else Reuse(plan, earlier.plan)
    if as_json:
        document = {"file": str(output), "digest": str(rendered.digest), **plan_document(plan)}
        print_json(document if reuse is None else {**document, "reuse": reuse_document(reuse)})
    else:
        reused = "" if reuse is None else f", {size(reuse.reused_bytes)} of it from {previous}"
        console().print(
            f"{plan.render_id}  {len(plan.placements)} fragments, {plan.num_tokens} tokens, "
            f"{size(len(plan.framing) + plan.body_bytes)}{reused}  {output}\n"
            f"digest {rendered.digest}",
            markup=False,
        )


def _merge_receipt(
    client: Client, state: StateName, query: RenderQuery, derived: Derived
) -> DerivedReceiptDocument:
    from latentcrdt.render.derived import receipt_of  # noqa: PLC0415 - loads numpy

    base = client.receipt_for(state, derived.source, query.of_branches())
    return derived_receipt_document(receipt_of(derived, base))
