from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latentcrdt.errors import InvalidRequestError, MalformedError
from latentcrdt.evals.confluence.record import read_records
from latentcrdt.evals.confluence.report import write_report
from latentcrdt.evals.confluence.run import RECORDS, Confluence
from latentcrdt.evals.models import LoadedModel
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
