"""docs/confluence.md shows what the reports hold, and names commands and files that exist."""

from __future__ import annotations

import re

import pytest

from scripts.make_confluence_page import DOCS, PAGE, document, findings, gates, shares

TEXT = PAGE.read_text(encoding="utf-8")


REPORTS = sorted(path.name for path in (DOCS / "evals").glob("confluence-*"))


@pytest.mark.parametrize(
    ("name", "made"), [("findings", findings), ("shares", shares), ("gates", gates)]
)
def test_a_table_is_what_the_reports_hold(name, made):
    (found,) = re.findall(rf"<!-- {name}:begin -->\n(.*?)\n<!-- {name}:end -->", TEXT, re.DOTALL)
    assert found == made().strip()


def test_every_report_is_linked():
    assert REPORTS
    assert {f"evals/{name}/report.md" for name in REPORTS} <= set(
        re.findall(r"\]\(([\w./-]+)", TEXT)
    )


@pytest.mark.parametrize("name", REPORTS)
def test_the_plots_of_a_report_are_those_that_it_shows(name):
    folder = DOCS / "evals" / name
    page = (folder / "report.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[[\w.-]+\]\(([\w.-]+)\)", page))
    assert shown == {path.name for path in folder.glob("*.svg")}


@pytest.mark.parametrize("name", REPORTS)
def test_the_record_counts_on_the_page_are_those_of_the_report(name):
    found = document(name)
    said = re.findall(rf"evals/{name}/report\.md\)[^\n]*?(\d+) of (\d+) records", TEXT)
    wanted = found["num_records"] - len(found["refused"])
    assert [int(count) for count, _ in said] == [wanted]
