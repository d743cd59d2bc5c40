"""docs/partitioned.md shows what the generator makes and what the log holds."""

from __future__ import annotations

import re

from latentcrdt.evals.partitioned import FAMILIES
from scripts.make_partitioned_page import PAGE, examples, training


def section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- {name}:begin -->\n(.*?)\n<!-- {name}:end -->", text, re.DOTALL)
    return found


def test_the_examples_are_those_of_the_generator():
    assert section("examples") == examples().strip()


def test_the_training_table_is_that_of_the_log():
    assert section("training") == training().strip()


def test_the_chances_are_those_of_the_families():
    text = PAGE.read_text(encoding="utf-8")
    for name, family in FAMILIES.items():
        (chance,) = re.findall(rf"^\| `{name}` \| [2k] \| (1/\d) \|", text, re.MULTILINE)
        assert chance == str(family.chance)
