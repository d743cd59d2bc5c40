"""The figures of a report, by hand from the fakes' answers."""

from __future__ import annotations

import json

import pytest

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.report.claims import order_claim
from latentcrdt.evals.report.files import write_report
from latentcrdt.evals.report.markdown import markdown
from latentcrdt.evals.report.plots import draw
from latentcrdt.evals.report.summarise import summarise
from latentcrdt.evals.run_directory import RunDirectory
from latentcrdt.evals.runner import run
from latentcrdt.evals.statistics import wilson
from tests.evals.fakes import CELLS, METHODS, SESSION, FakeBenchmark, fake_methods

SETTINGS = {
    "metrics": ["correct"],
    "benchmark": "fake",
    "model": "none",
    "methods": {"2": list(METHODS)},
}


def make(path, cells=CELLS, *, stop_after=None):
    class StoppedError(Exception):
        pass

    def on_progress(done, _total):
        if done == stop_after:
            raise StoppedError

    try:
        with RunDirectory(path, SETTINGS, SESSION) as directory:
            run(cells, FakeBenchmark(), fake_methods, directory, on_progress=on_progress)
    except StoppedError:
        pass
    return path


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return summarise(make(tmp_path_factory.mktemp("report") / "run"))


def test_accuracies_and_costs_are_those_of_the_answers(summary):
    first, second = summary.cells
    accuracy = {m.method: m.accuracy for m in first.methods}
    assert accuracy == {"canonical": 0.6, "bag-01": 0.8, "bag-10": 0.4, "single": 1.0}
    canonical = first.method("canonical")
    assert canonical.interval == wilson(3, 5)
    assert canonical.families == {"even": 1 / 3, "odd": 1.0}  # right on 0, 1, 3
    assert canonical.bytes_moved == 300  # the median of 100 to 500
    assert canonical.first_token_s == 0.25
    assert second.num_steps == 2
    assert first.num_questions == second.num_questions == 5


def test_orders_are_found_for_the_cell_and_for_each_question(summary):
    orders = summary.cells[0].orders
    assert (orders.best, orders.worst, orders.num_orders) == ("bag-01", "bag-10", 2)
    assert orders.any_right == 1.0
    assert orders.all_right == 0.2  # question 0 alone
    assert orders.disagree == 0.8


def test_comparisons_are_of_canonical_and_with_the_single_agent(summary):
    cell = summary.cells[0]
    pairs = {(c.first, c.second) for c in cell.comparisons}
    assert pairs == {
        ("canonical", "bag-01"),
        ("canonical", "bag-10"),
        ("canonical", "single"),
        ("bag-01", "single"),
        ("bag-10", "single"),
    }
    found = cell.comparison("canonical", "bag-10")
    # Canonical alone is right on 1 and 3, that order alone on 4.
    assert (found.only_first, found.only_second, found.p_value) == (2, 1, 1.0)
    assert found.difference == pytest.approx(0.2)
    assert found.interval.low <= 0.2 <= found.interval.high
    against_single = cell.comparison("canonical", "single")
    assert (against_single.only_first, against_single.only_second) == (0, 2)
    assert against_single.p_value == 0.5


def test_holm_counts_the_cells(summary):
    for cell in summary.cells:
        against_single = cell.comparison("canonical", "single")
        assert against_single.adjusted_p_value == min(1, 2 * against_single.p_value)


def test_the_claim_about_orders_is_counted(summary):
    claim = order_claim(summary.cells)
    assert (claim.num_cells, claim.num_near, claim.num_not_below_worst) == (2, 0, 2)
    assert claim.largest_gap == pytest.approx(0.2)
    assert claim.num_significant == 0


def test_only_questions_that_all_methods_answered_are_counted(tmp_path):
    # Three methods of the second question are there, and one is not.
    unfinished = summarise(make(tmp_path / "run", stop_after=7))
    assert [cell.num_questions for cell in unfinished.cells] == [1]


def test_a_run_without_answers_has_no_report(tmp_path):
    with pytest.raises(InvalidRequestError, match="found no question that is finished"):
        summarise(make(tmp_path / "run", stop_after=1))


def test_the_page_has_the_figures(summary):
    page = markdown(summary)
    assert "| 2 | all-hidden-alone-0 | 5 | 60.0 [23.1, 88.2] | 80.0 [37.6, 96.4] 01 |" in page
    assert "within 4 points of the best order in 0 of 2 cells" in page
    assert "largest gap to the best is 20.0 points" in page


def test_a_report_is_the_same_each_time(summary, tmp_path):
    first = write_report(summary, tmp_path / "a")
    again = write_report(summary, tmp_path / "b")
    assert [p.name for p in first] == ["report.json", "report.md", "matrix-2.svg", "cost.svg"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    document = json.loads(first[0].read_text())
    assert len(document["cells"]) == 2
    assert document["metric"] == "correct"


def test_every_method_but_the_orders_is_drawn(summary):
    plot = draw(summary)["matrix-2.svg"].decode()
    for name in ("canonical", "single", "worst to best order", "latent steps of each agent"):
        assert name in plot
    assert "bag-01" not in plot
