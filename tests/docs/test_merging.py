"""docs/merging.md: its table is the registry."""

from __future__ import annotations

import re
from pathlib import Path

from latentcrdt.merging.search import SEARCHES
from latentcrdt.merging.strategies import STRATEGIES
from scripts.make_strategies_table import table

PAGE = (Path(__file__).parents[2] / "docs" / "merging.md").read_text(encoding="utf-8")


def test_the_table_of_strategies_is_that_of_the_registry() -> None:
    _, _, section = PAGE.partition("<!-- strategies:begin -->\n")
    written, _, _ = section.partition("<!-- strategies:end -->")
    assert written == table(), "run python -m scripts.make_strategies_table"
    names = re.findall(r"^\| `([a-z-]+)` \|", written, re.MULTILINE)
    assert names == [*STRATEGIES, *SEARCHES]
