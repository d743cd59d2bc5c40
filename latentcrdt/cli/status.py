"""``latentcrdt status``: how a server stands with its peers."""

from __future__ import annotations

import time
from dataclasses import asdict

from rich.table import Table

from latentcrdt.cli.options import DEFAULT_URL, JsonOption, ServerOption
from latentcrdt.cli.output import console, print_json, printable, size
from latentcrdt.client import Client
from latentcrdt.client.values import PeerStatus


def status(server: ServerOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show for each peer of a server whether the two are equal, and what was moved."""
    with Client(server) as client:
        peers = client.peers()
    if as_json:
        print_json([asdict(peer) for peer in peers])
    elif peers:
        _print(peers)
    else:
        console().print("this server has no peers; serve --peer URL names them")


def _print(peers: list[PeerStatus]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("peer")
    table.add_column("equal")
    for name in ("differing", "last contact", "received", "sent"):
        table.add_column(name, justify="right")
    table.add_column("problem")
    for peer in peers:
        equal = {True: "yes", False: "no", None: "unknown"}[peer.is_equal]
        contact = peer.last_contact
        table.add_row(
            printable(peer.url),
            equal,
            str(peer.num_differing),
            "never" if contact is None else f"{max(0.0, time.time() - contact):.0f} s ago",
            size(peer.bytes_received),
            size(peer.bytes_sent),
            printable(peer.error or ""),
        )
    console().print(table)
