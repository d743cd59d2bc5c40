"""docs/conformance.md: its table is the checks, its sections exist, its test runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from latentcrdt_server.app import create_app
from latentcrdt_server.settings import Settings

from latentcrdt.testing.conformance import checks, groups
from tests.conformance.wrong_servers import WRONG_SERVERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "conformance.md").read_text(encoding="utf-8")


def test_the_page_lists_every_check_with_its_promise_and_section() -> None:
    for group in groups:
        _, _, section = PAGE.partition(f"\n### {group.name}\n")
        rows = re.findall(
            r"^\| `(.*?)` \| (.*) \| (.*) \|$", section.partition("\n### ")[0], re.MULTILINE
        )
        assert rows == [(check.name, check.promise, check.section) for check in group]


def test_no_two_checks_have_one_name() -> None:
    assert len({str(check) for check in checks}) == len(checks)


def test_every_section_of_the_format_that_is_cited_is_there() -> None:
    headings = re.findall(r"^## (\d+)\.", (DOCS / "format.md").read_text("utf-8"), re.MULTILINE)
    cited = {m[1] for c in checks if (m := re.match(r"docs/format\.md section (\d+)", c.section))}
    assert cited
    assert cited <= set(headings)


def test_every_operation_that_is_cited_is_in_our_openapi_document(tmp_path: Path) -> None:
    paths = create_app(Settings(data_dir=tmp_path)).openapi()["paths"]
    cited = [m for c in checks if (m := re.match(r"OpenAPI: (\w+) ([^ ,]+)", c.section))]
    assert cited
    for method, path in (m.groups() for m in cited):
        assert method.lower() in paths[path]


def test_the_number_of_wrong_servers_is_as_the_page_says() -> None:
    assert f"has {len(WRONG_SERVERS)} servers" in PAGE


def test_the_test_on_the_page_runs(tmp_path: Path, server_url: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    fixture = f"@pytest.fixture\ndef server_url():\n    return {server_url!r}\n"
    path = tmp_path / "test_theirs.py"
    path.write_text(program + fixture)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "negotiation"]
    done = subprocess.run(
        [*command, path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    expected = sum(check.group == "negotiation" for check in checks)
    assert f"{expected} passed, {len(checks) - expected} deselected" in done.stdout
