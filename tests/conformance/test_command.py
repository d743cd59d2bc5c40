"""``latentcrdt conformance``: on the real server, and on one whose faults it has to name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess
from typer.testing import CliRunner, Result

from latentcrdt.cli.app import app
from latentcrdt.core.encoding import digest
from latentcrdt.testing.conformance import checks
from tests.client.scripted_server import refused_url
from tests.conformance.faulty import FaultyServer, Request, Response


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["conformance", *args], env={"COLUMNS": "200"})


def test_the_real_server_keeps_every_promise(server_url: str) -> None:
    result = run(server_url)
    assert result.exit_code == 0, result.output
    *lines, _, verdict = result.stdout.splitlines()
    assert lines == [f"passed  {check}" for check in checks]
    assert verdict == f"All {len(checks)} promises are kept."


def test_only_what_is_named_is_run(server_url: str) -> None:
    result = run(server_url, "--only", "vary", "--only", "duplicates", "--json")
    document = json.loads(result.stdout)
    named = [entry["check"] for entry in document["checks"]]
    expected = [str(c) for c in checks if c.group == "duplicates" or c.name == "vary"]
    assert named == expected
    assert (document["passed"], document["failed"]) == (len(expected), 0)


def test_the_states_of_a_run_are_retracted_at_its_end(server_url: str) -> None:
    def states() -> list[object]:
        return httpx2.get(f"{server_url}/v1/states").json()["states"]

    before = states()
    assert run(server_url, "--only", "laws", "--only", "names").exit_code == 0
    assert states() == before


def test_a_name_that_no_check_has_is_a_usage_error(server_url: str) -> None:
    result = run(server_url, "--only", "lawz")
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_server_that_needs_a_token_keeps_every_promise_to_whoever_has_one(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        f'[[principal]]\nname = "kit"\ndigest = "{digest(b"a-token").hex()}"\n'
        'grants = [{ states = ["*"], scopes = ["sync"] }]\n'
    )
    with ServerProcess(tmp_path / "data", token_file=tokens) as process:
        refused = run(process.url)
        names = ("refusals", "duplicates", "names", "replication", "retraction")
        only = [part for name in names for part in ("--only", name)]
        taken = run(process.url, "--token", "a-token", *only)
    assert refused.exit_code == 1
    assert "error [unauthorized]" in refused.stderr
    assert taken.exit_code == 0, taken.output


def test_what_a_server_does_not_offer_is_skipped_and_said(faulty: FaultyServer) -> None:
    def knows_no_merge(asked: Request) -> None:
        asked.query = asked.query.replace("merge=", "blend=")

    faulty.before = knows_no_merge
    result = run(faulty.url, "--only", "merges", "--only", "vary")
    assert result.exit_code == 0, result.output
    merges = [check for check in checks if check.group == "merges"]
    *lines, _, verdict = result.stdout.splitlines()
    assert lines[: len(merges)] == [f"skipped {c}: the server offers no merges" for c in merges]
    assert verdict == f"All 1 promises are kept. {len(merges)} are not made."
    document = json.loads(run(faulty.url, "--only", "merges", "--json").stdout)
    assert (document["passed"], document["skipped"]) == (0, len(merges))


def forget_vary(_asked: Request, given: Response) -> None:
    given.headers.pop("vary", None)


def test_a_violation_is_told_with_its_promise_and_section(faulty: FaultyServer) -> None:
    faulty.after = forget_vary
    result = run(faulty.url, "--only", "negotiation/vary", "--only", "preferences")
    assert result.exit_code == 1
    (check,) = (c for c in checks if str(c) == "negotiation/vary")
    passed, failed, promise, violation, section, _, verdict = result.stdout.splitlines()
    assert passed == "passed  negotiation/preferences"
    assert failed == "FAILED  negotiation/vary"
    assert promise.strip() == check.promise
    assert violation.strip().endswith("expected a header vary, got none")
    assert section.strip() == f"section: {check.section}"
    assert verdict == "1 of 2 promises are broken."


def test_a_violation_found_by_examples_comes_with_the_smallest(faulty: FaultyServer) -> None:
    def ends_early(_asked: Request, given: Response) -> None:
        if given.status == 206 and len(given.body) > 1:
            given.replace_body(given.body[:-1])

    faulty.after = ends_early
    result = run(faulty.url, "--only", "ranges/of-a-fragment", "--json")
    assert result.exit_code == 1
    (entry,) = json.loads(result.stdout)["checks"]
    assert entry["passed"] is False
    assert "bytes" in entry["violation"]
    assert entry["notes"] == ["counterexample: Range: bytes=0-"]


def test_words_of_a_server_cannot_paint_the_terminal(faulty: FaultyServer) -> None:
    def paint(_asked: Request, given: Response) -> None:
        given.become(404, {"detail": "[red]\x1b[31m"})

    faulty.after = paint
    result = run(faulty.url, "--only", "vary")
    assert "\x1b" not in result.stdout
    assert "[red]" in result.stdout


def test_without_hypothesis_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None; "
        "from latentcrdt.cli.app import app; app(['conformance', 'http://127.0.0.1:1'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "hypothesis" in line
    assert "pip install 'latentcrdt[testing]'" in line


@pytest.mark.parametrize(
    ("url", "code"),
    [(refused_url(), "connection_failed"), ("nonsense", "invalid_request")],
    ids=["refused", "nonsense"],  # ports differ between the processes that share the tests
)
def test_a_server_that_is_not_there_is_one_line(url: str, code: str) -> None:
    result = run(url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error [{code}]" in result.stderr
