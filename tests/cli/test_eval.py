"""``latentcrdt eval`` as a person types it, on a tiny model in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

HOTPOTQA = Path(__file__).parents[1] / "evals" / "hotpotqa_tiny.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    model = make_model("llama", num_hidden_layers=2, max_position_embeddings=2048)
    model.save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def partitioned(run, folder):
    def start(out, *options):
        return run(
            *("eval", "partitioned", "--model", folder, "--out", out, "--questions", "2"),
            *("--regimes", "all-hidden-alone", "--budgets", "0", "--methods", "canonical,bag"),
            *options,
        )

    return start


def test_a_run_prints_its_accuracies_and_says_where_the_report_is(partitioned, tmp_path):
    result = partitioned(tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "bag-10" in result.stdout
    assert str(tmp_path / "run" / "report.md") in result.stdout
    assert (
        json.loads((tmp_path / "run" / "manifest.json").read_text())["settings"]["model"] == "tiny"
    )


def test_the_same_command_goes_on_and_another_is_refused(partitioned, tmp_path):
    first = partitioned(tmp_path / "run", "--json")
    again = partitioned(tmp_path / "run", "--json")
    assert json.loads(first.stdout)["cells"] == json.loads(again.stdout)["cells"]
    refused = partitioned(tmp_path / "run", "--seed", "1")
    assert refused.exit_code == 1
    assert "seed was 0 and is now 1" in refused.stderr


def test_diff_ends_with_1_when_runs_differ(run, partitioned, tmp_path):
    for name in "ab":
        partitioned(tmp_path / name)
    same = run("eval", "diff", tmp_path / "a", tmp_path / "b")
    assert same.exit_code == 0
    assert "6 answers in both: 0 differ" in same.stdout
    answers = tmp_path / "b" / "answers.jsonl"
    lines = answers.read_text().splitlines(keepends=True)
    changed = json.loads(lines[1])
    changed["text"] = "something else"
    answers.write_text("".join([lines[0], json.dumps(changed) + "\n", *lines[2:]]))
    found = run("eval", "diff", tmp_path / "a", tmp_path / "b")
    assert found.exit_code == 1
    assert "1 differ; text in 1, score in 0, receipt in 0" in found.stdout
    assert '-> "something else"' in found.stdout
    document = json.loads(run("eval", "diff", tmp_path / "a", tmp_path / "b", "--json").stdout)
    assert document["differing"][0]["answers"]["second"] == "something else"


def test_a_report_can_be_written_again_elsewhere(run, partitioned, tmp_path):
    partitioned(tmp_path / "run")
    result = run("eval", "report", tmp_path / "run", "--out", tmp_path / "report")
    assert result.exit_code == 0
    for name in ("report.json", "report.md", "cost.svg"):
        there, here = tmp_path / "report" / name, tmp_path / "run" / name
        assert there.read_bytes() == here.read_bytes()


def test_hotpotqa_is_scored_by_both_metrics(run, folder, tmp_path):
    result = run(
        *("eval", "hotpotqa", "--model", folder, "--data", HOTPOTQA, "--out", tmp_path / "run"),
        *("--methods", "canonical,single", "--json"),
    )
    assert result.exit_code == 0, result.output
    (cell,) = json.loads(result.stdout)["cells"]
    assert cell["num_questions"] == 2
    assert set(cell["methods"][0]["scores"]) == {"em", "f1"}
    (comparison,) = cell["comparisons"]
    canonical, single = (m["scores"]["f1"] for m in cell["methods"])
    assert comparison["scores"]["f1"][0] == pytest.approx(canonical - single)
    assert "## f1" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "nowhere"), "expected one of reference, reference-early, smollm2, gemma3 or"),
        (("--families", "riddles"), "family: expected one of"),
        (("--regimes", "sideways"), "regime: expected 'every' or words of"),
        (("--methods", "magic"), "method: expected one of"),
        (("--k", "two"), "expected numbers with commas between"),
        (("--k", "9"), "num_shards: expected 2 to 5, got 9"),
    ],
)
def test_what_makes_no_sense_is_refused(partitioned, tmp_path, options, message):
    result = partitioned(tmp_path / "run", *options)
    assert result.exit_code != 0
    assert message in result.stderr.replace("\n", " ")
