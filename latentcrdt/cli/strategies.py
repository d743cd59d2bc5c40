"""``latentcrdt strategies``: by what rules branches can be merged."""

from __future__ import annotations

from rich.table import Table

from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json


def strategies(as_json: JsonOption = False) -> None:
    """List the strategies that ``render --merge`` takes, and the searches that end in one.

    A is the anchor, the first branch in canonical order; w is the weight of B.
    """
    from latentcrdt.merging.listing import listing  # noqa: PLC0415 - loads numpy

    entries = listing()
    if as_json:
        print_json(entries)
        return
    table = Table("strategy", "family", "rule", "parameters", "symmetric", "branches")
    table.box, table.pad_edge = None, False
    for entry in entries:
        parameters = ", ".join(f"{name}={value:g}" for name, value in entry["parameters"].items())
        table.add_row(
            entry["name"],
            entry["family"],
            entry["rule"],
            parameters,
            entry["symmetric"],
            entry["branches"],
        )
    console().print(table, markup=False)
