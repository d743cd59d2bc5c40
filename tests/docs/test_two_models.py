"""The page about two models, beside the commands, names and figures that it mentions."""

from __future__ import annotations

import re
from pathlib import Path

from latentcrdt.merging.models.blend import OPERATORS, RIDGE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "two-models.md").read_text(encoding="utf-8")


def test_every_operator_is_named():
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == set(OPERATORS)
    assert f"lambda = {RIDGE:g}" in PAGE
