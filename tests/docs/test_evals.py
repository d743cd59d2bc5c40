"""The page about evaluations, beside the commands and names that it mentions."""

from __future__ import annotations

import re
from pathlib import Path

from latentcrdt.agents.regime import Regime
from latentcrdt.evals.manifest import MANIFEST
from latentcrdt.evals.methods import MethodTable
from latentcrdt.evals.run_directory import ANSWERS, RECEIPTS, TIMINGS
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "evals.md").read_text(encoding="utf-8")


def test_the_table_has_every_method():
    rows = PAGE[PAGE.index("| method |") : PAGE.index("Best and worst order are no methods")]
    named = re.findall(r"`([\w-]+)`", rows)
    methods = MethodTable(make_model("llama"), make_tokenizer())
    known = methods.names([name for name in named if name not in ("bag-01", "bag-10")], 2)
    assert set(known) == set(methods._all(Regime(), 2))


def test_the_files_of_a_run_are_those_that_are_written():
    for name in (MANIFEST, ANSWERS, RECEIPTS, TIMINGS):
        assert f"    {name}" in PAGE
