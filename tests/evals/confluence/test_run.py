from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latentcrdt.errors import InvalidRequestError, MalformedError
from latentcrdt.evals.confluence.finding import Verdict
from latentcrdt.evals.confluence.findings import findings
from latentcrdt.evals.confluence.merges import Merge
from latentcrdt.evals.confluence.record import Record, read_records
from latentcrdt.evals.confluence.regimes import Thresholds
from latentcrdt.evals.confluence.report import write_report
from latentcrdt.evals.confluence.run import RECORDS, Confluence
from latentcrdt.evals.models import LoadedModel
from latentcrdt.merging.gate.metrics import Metrics
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer


@pytest.fixture(scope="module")
def confluence() -> Confluence:
    model = make_model("llama", num_hidden_layers=2)
    return Confluence(LoadedModel("tiny", model, make_tokenizer()), (0, 8), ("weight-search",), 1)


class StoppedError(Exception):
    pass


def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(
    confluence: Confluence, tmp_path: Path
) -> None:
    confluence.run(tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        confluence.run(tmp_path / "parts", on_progress=stop)
    with (tmp_path / "parts" / RECORDS).open("ab") as file:
        file.write(b'{"cut off')
    confluence.run(tmp_path / "parts")
    whole, parts = ((tmp_path / d / RECORDS).read_bytes() for d in ("whole", "parts"))
    assert parts == whole
    assert len(list(read_records(tmp_path / "whole" / RECORDS))) == 32


def test_another_run_is_not_mixed_in(confluence: Confluence, tmp_path: Path) -> None:
    replace(confluence, pairs_per_category=1, paddings=(0,)).run(tmp_path)
    with pytest.raises(InvalidRequestError, match="paddings was"):
        confluence.run(tmp_path)


def test_the_report_has_every_strategy_and_its_plots(
    confluence: Confluence, tmp_path: Path
) -> None:
    confluence.run(tmp_path / "run")
    write_report(tmp_path / "run", tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    document = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert {row["name"].partition(" ")[0] for row in document["strategies"]} >= {
        "v-only",
        "late-v-slerp",
        "weight-search",
    }
    for name in ("regime-map.svg", "categories.svg", "late-values.svg", "gate.svg"):
        assert f"![{name}]({name})" in page
        assert (tmp_path / "out" / name).read_bytes().startswith(b"<?xml")
    measured = sum(row["row"]["num_pairs"] for row in document["categories"])
    assert measured + len(document["refused"]) == document["num_records"] == 32


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    path.write_bytes(b'{"pair_id": 1}\n')
    with pytest.raises(MalformedError, match="line 1"):
        list(read_records(path))


def record(i: int, padding: int = 0, category: str = "homographs", **balances: float) -> Record:
    merges = tuple(
        Merge(name.replace("_", "-").removesuffix("-b"), "b" if name.endswith("_b") else "a", {}, m)
        for name, balance in balances.items()
        for m in [Metrics(2.718281828**balance, 1.0, 0.0, 1.0)]
    )
    return Record(f"pair-{i}", category, padding, merges=merges)


def verdicts(records: list[Record], layers: int = 12) -> dict[str, Verdict]:
    return {
        f.claim: f.verdict for f in findings(records, num_layers=layers, thresholds=Thresholds())
    }


def test_findings_follow_what_was_measured() -> None:
    better = [record(i, v_only=0.0, uniform_average=3.0, v_only_b=3.0) for i in range(20)]
    found = verdicts(better)
    assert found["V-only beats K+V"] is Verdict.REPRODUCED
    assert found["A-anchored differs from B-anchored"] is Verdict.REPRODUCED
    assert found["A fixed weight on 12 layers gives no confluence"] is Verdict.REPRODUCED
    assert found["The longer the shared prefix, the more confluence"] is Verdict.UNTESTABLE
    worse = [record(i, v_only=3.0, uniform_average=0.0, v_only_b=3.0) for i in range(20)]
    found = verdicts(worse)
    assert found["V-only beats K+V"] is Verdict.REFUTED
    assert found["A-anchored differs from B-anchored"] is Verdict.REFUTED
    assert found["A fixed weight on 12 layers gives no confluence"] is Verdict.REFUTED
    same = [record(i, v_only=0.0, uniform_average=0.0) for i in range(20)]
    assert verdicts(same)["V-only beats K+V"] is Verdict.UNDECIDED
    assert verdicts(same, layers=30)["A fixed weight on 12 layers gives no confluence"] is (
        Verdict.UNTESTABLE
    )
    assert set(verdicts(same[:3]).values()) == {Verdict.UNTESTABLE}


def test_a_longer_prefix_is_compared_on_the_same_pairs() -> None:
    records = [record(i, v_only=3.0) for i in range(20)]
    records += [record(i, padding=64, v_only=0.0) for i in range(20)]
    claim = "The longer the shared prefix, the more confluence"
    assert verdicts(records)[claim] is Verdict.REPRODUCED


def test_categories_are_held_against_what_the_source_says_of_them() -> None:
    records = [record(i, v_only=3.0, category="homographs") for i in range(20)]
    records += [record(i + 20, v_only=0.0, category="quantifiers") for i in range(20)]
    claim = "Categories named as merging are confluent more often than those named as collapsing"
    assert verdicts(records)[claim] is Verdict.REPRODUCED
