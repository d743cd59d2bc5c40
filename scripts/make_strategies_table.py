"""Write the table of strategies in docs/merging.md: `python -m scripts.make_strategies_table`."""

from __future__ import annotations

from pathlib import Path

from latentcrdt.merging.listing import StrategyDocument, listing
from scripts.marked_section import replace_section

PAGE = Path(__file__).parents[1] / "docs" / "merging.md"


def table() -> str:
    """Return one row a strategy."""
    head = (
        "| name | family | rule | parameters | symmetric | branches |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(map(_row, listing()))


def _row(entry: StrategyDocument) -> str:
    parameters = ", ".join(f"{name} {value:g}" for name, value in entry["parameters"].items())
    cells = (
        f"`{entry['name']}`",
        entry["family"],
        entry["rule"].replace("|", "\\|"),
        parameters,
        entry["symmetric"],
        entry["branches"],
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    replace_section(PAGE, "strategies", table())
