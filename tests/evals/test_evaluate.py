"""Real methods on a tiny random model, from the command line's parts to the report."""

from __future__ import annotations

import json

import pytest

from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.diff import diff_runs
from latentcrdt.evals.evaluate import Evaluation
from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.partitioned import COMPLETION, FAMILIES
from latentcrdt.evals.partitioned.benchmark import Partitioned
from latentcrdt.evals.run_directory import read_receipts, read_records
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

METHODS = ("canonical", "bag", "single", "text-merge", "no-cache", "packllm-sim")
REGIMES = (Regime(), Regime(Rows.LATENT, question_visible=True, shared_prefix=True, num_steps=2))


@pytest.fixture(scope="module")
def tiny():
    model = make_model("llama", num_hidden_layers=2, max_position_embeddings=1024)
    return LoadedModel("tiny", model, make_tokenizer())


def evaluation(tiny, **changes):
    parts = {
        "benchmark": Partitioned(list(FAMILIES), 3, COMPLETION),
        "model": tiny,
        "num_agents": (2, 3),
        "regimes": REGIMES,
        "methods": METHODS,
    }
    return Evaluation(**{**parts, **changes})


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("evals") / "run"
    return path, evaluation(tiny).run(path)


def test_every_method_answers_every_question_in_every_cell(finished):
    path, summary = finished
    records = list(read_records(path))
    # Orders of two and of three agents; five other methods; three questions; two regimes.
    assert len(records) == 2 * 3 * ((2 + 5) + (6 + 5))
    assert [(c.num_agents, c.regime) for c in summary.cells] == [
        (k, regime.name) for k in (2, 3) for regime in REGIMES
    ]
    assert {cell.num_questions for cell in summary.cells} == {3}


def test_canonical_is_one_of_the_orders(finished):
    path, _ = finished
    records = {record.key: record for record in read_records(path)}
    receipts = read_receipts(path)
    for key, record in records.items():
        if key.method == "canonical":
            name = "bag-" + "".join(map(str, record.facts["order"]))
            same = records[key._replace(method=name)]
            assert same.text == record.text
            assert receipts[same.receipt]["sections"] == receipts[record.receipt]["sections"]


def test_what_no_regime_changes_is_the_same_in_all(finished):
    path, _ = finished
    by_regime = {regime.name: {} for regime in REGIMES}
    for record in read_records(path):
        if record.method in ("single", "text-merge", "no-cache"):
            key = (record.num_agents, record.item_id, record.method)
            by_regime[record.regime][key] = (record.text, record.bytes_moved)
    first, second = by_regime.values()
    assert first == second
    for (_, _, method), (_, bytes_moved) in first.items():
        assert (bytes_moved == 0) == (method == "no-cache")


def test_the_report_lies_beside_the_answers(finished):
    path, summary = finished
    document = json.loads((path / "report.json").read_text())
    assert document["settings"] == read_manifest(path)["settings"]
    accuracy = [m["accuracy"] for cell in document["cells"] for m in cell["methods"]]
    assert accuracy == [m.accuracy for cell in summary.cells for m in cell.methods]
    page = (path / "report.md").read_text()
    assert "Canonical against every order" in page
    assert "matrix" not in page  # one budget for each regime
    for plot in ("agents.svg", "cost.svg"):
        assert (path / plot).read_bytes().startswith(b"<?xml")
        assert plot in page


def test_a_second_run_is_the_same_run(tiny, finished, tmp_path):
    evaluation(tiny, num_agents=(2,)).run(tmp_path / "again")
    found = diff_runs(tmp_path / "again", finished[0])
    assert found.differing == found.only_first == ()
    assert found.num_common == 2 * 3 * 7


def test_an_unknown_method_is_refused_before_anything_is_stored(tiny, tmp_path):
    with pytest.raises(InvalidRequestError, match=r"'canonical'.* got 'cannonical'"):
        evaluation(tiny, methods=("cannonical",)).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
