"""``latentcrdt ls``: the states of a server, or the members of one."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.table import Table

from latentcrdt.cli.options import DEFAULT_URL, JsonOption, ServerOption, checked
from latentcrdt.cli.output import console, print_json, printable, short, size
from latentcrdt.client import Client, StateListing, StateSummary
from latentcrdt.core.ids import StateName

OptionalState = Annotated[
    StateName | None,
    typer.Argument(
        metavar="[STATE]", parser=checked(StateName, "STATE"), help="All states, if left out."
    ),
]


def ls(
    state: OptionalState = None, server: ServerOption = DEFAULT_URL, as_json: JsonOption = False
) -> None:
    """List the states of a server, or the fragments of one state in render order.

    Equal roots on two servers mean equal states.
    """
    with Client(server) as client:
        if state is None:
            summaries = client.states()
            print_json(_states_document(summaries)) if as_json else _print_states(summaries)
        else:
            listing = client.state(state)
            print_json(_state_document(listing)) if as_json else _print_state(listing)


def _print_states(summaries: list[StateSummary]) -> None:
    table = Table("state", "fragments", "root", box=None, pad_edge=False)
    for summary in summaries:
        table.add_row(summary.name, str(summary.num_fragments), str(summary.root))
    console().print(table)


def _print_state(listing: StateListing) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("fragment", no_wrap=True)
    for name in ("key", "tokens", "size"):
        table.add_column(name, justify="right")
    for name in ("class", "model"):
        table.add_column(name)
    for member in sorted(listing.members, key=lambda m: (m.sort_key, m.fragment_id)):
        table.add_row(
            str(member.fragment_id),
            f"{member.sort_key:.6g}",
            str(member.seq_len),
            size(member.body_bytes),
            short(member.class_id),
            printable(member.model_id),
        )
    out = console()
    out.print(table)
    classes = Counter(member.class_id for member in listing.members)
    if len(classes) > 1:
        out.print("\nseveral classes; render takes one of them by --class:")
        for class_id, count in sorted(classes.items()):
            out.print(f"  {class_id}  {count} fragments")
    out.print(f"\nroot {listing.root}")


def _states_document(summaries: list[StateSummary]) -> list[dict[str, object]]:
    return [{"name": s.name, "root": str(s.root), "fragments": s.num_fragments} for s in summaries]


def _state_document(listing: StateListing) -> dict[str, object]:
    members = [
        {
            "id": str(m.fragment_id),
            "class_id": str(m.class_id),
            "model_id": m.model_id,
            "dtype": m.dtype,
            "num_layers": m.num_layers,
            "start": m.start,
            "seq_len": m.seq_len,
            "prefix": None if m.prefix is None else str(m.prefix),
            "body_bytes": m.body_bytes,
            "key": m.sort_key,
            "key_hex": m.sort_key.hex(),
        }
        for m in listing.members
    ]
    return {"name": listing.name, "root": str(listing.root), "members": members}
