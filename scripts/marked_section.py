"""The parts of a page that a script writes, between two comments that name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median


def replace_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises ValueError unless the page has both, once.
    """
    old = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    new, count = re.subn(
        f"{re.escape(begin)}.*{re.escape(end)}",
        lambda _: f"{begin}\n{text.strip()}\n{end}",
        old,
        flags=re.DOTALL,
    )
    if count != 1 or old.count(begin) != 1 or old.count(end) != 1:
        raise ValueError(f"{page.name}: expected {begin} and {end}, in this order, once")
    page.write_text(new, encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """Return the median of the figures of several runs, and the lowest and highest."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def markdown(headers: list[str], rows: list[list[str]]) -> str:
    """Return a table; every column but the first is aligned to the right."""
    rule = ["---", *["---:"] * (len(headers) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows)) + "\n"
