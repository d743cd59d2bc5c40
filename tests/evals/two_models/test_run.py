"""A small sweep over the shipped pair of models, stopped, gone on with, and reported."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.errors import InvalidRequestError, MalformedError
from latentcrdt.evals.models import load_model
from latentcrdt.evals.two_models.judge import by_answer
from latentcrdt.evals.two_models.lab import Lab
from latentcrdt.evals.two_models.observe import encode
from latentcrdt.evals.two_models.record import BASE, KNOWN, TUNED, Setting, read_records
from latentcrdt.evals.two_models.report import write_report
from latentcrdt.evals.two_models.run import JUDGEMENTS, RECORDS, TwoModels, swept_layers
from latentcrdt.evals.two_models.summary import summarise
from latentcrdt.merging.models import latent_merge

RUN = TwoModels(
    "reference-early",
    "reference",
    ("partitioned",),
    count=1,
    num_shards=3,
    layers=(3, 2),
    operators=("lerp", "slerp"),
    alphas=(0.5,),
    judges={"answers": by_answer},
)


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    RUN.run(path)
    return path


def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(finished, tmp_path):
    def stop_at(count):
        def on_progress(done, total):
            if done == count:
                raise StoppedError

        return on_progress

    for count in (4, 10):  # among the records, and among the judgements
        with pytest.raises(StoppedError):
            RUN.run(tmp_path, on_progress=stop_at(count))
        for name in (RECORDS, JUDGEMENTS):
            with (tmp_path / name).open("ab") as file:
                file.write(b'{"cut off')
    RUN.run(tmp_path)
    for name in (RECORDS, JUDGEMENTS):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_every_way_is_there_once(finished):
    settings = [record.setting for record in read_records(finished / RECORDS)]
    expected = [BASE, TUNED, *(Setting("weights", -1, o, 0.5) for o in ("lerp", "slerp"))]
    expected += [Setting("latent", n, o, 0.5) for n in (3, 2) for o in ("lerp", "slerp")]
    assert settings == expected


def test_a_summary_has_the_layers_in_order_though_they_were_asked_for_in_another(finished):
    """A plot's line joins neighbours: that of layers 24, 29 and 14 once went back and forth."""
    layers = [row.setting.layer for row in summarise(finished).ways]
    assert layers == sorted(layers)
    assert {2, 3} <= set(layers)


def test_another_run_is_not_mixed_in(finished):
    with pytest.raises(InvalidRequestError, match="alphas was"):
        replace(RUN, alphas=(0.25,)).run(finished)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layers": (4,)}, "layers"),
        ({"alphas": (0.5, 1.0)}, "alphas"),
        ({"operators": ("mean",)}, "operator"),
        ({"tasks": ("riddles",)}, "tasks"),
        ({"base": "nowhere"}, "reference-early"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(tmp_path, changes, named):
    with pytest.raises(InvalidRequestError, match=named):
        replace(RUN, **changes).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_losses_are_those_of_the_model_asked_directly(finished):
    lab = Lab((RUN.base, RUN.tuned), RUN.tasks, RUN.count, num_shards=RUN.num_shards)
    record = next(r for r in read_records(finished / RECORDS) if r.setting.where == "latent")
    case = lab.cases[0]
    text = encode(case, lab.base.tokenizer)
    ids = torch.tensor([text.token_ids])
    layer = record.setting.layer
    with torch.no_grad(), latent_merge(lab.base.model, lab.tuned.model, layer=layer, alpha=0.5):
        logits = lab.base.model(ids).logits[0]
    nll = -logits.log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
    expected = float(nll[-text.num_answer :].mean())
    assert record.losses[case.case_id] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_geometry_says_that_lerp_at_half_is_near_the_middle_and_slerp_in_it(finished):
    records = {record.setting: record for record in read_records(finished / RECORDS)}
    for layer in (2, 3):
        lerp, slerp = (
            records[Setting("latent", layer, name, 0.5)].layers[0] for name in ("lerp", "slerp")
        )
        assert slerp.midness == pytest.approx(1, abs=1e-3)
        assert slerp.deviation == pytest.approx(0, abs=1e-3)
        assert 0.8 < lerp.midness <= 1
        assert len(records[Setting("latent", layer, "lerp", 0.5)].layers) == 4 - layer


def test_the_report_shows_every_part_and_its_plots(finished, tmp_path):
    write_report(finished, tmp_path)
    page = (tmp_path / "report.md").read_text()
    document = json.loads((tmp_path / "report.json").read_bytes())
    assert len(document["ways"]) == 8
    assert {row["category"] for row in document["wins"]} > {"all", "counting"}
    for row in document["wins"]:
        total = 2 * (5 if row["category"] == "all" else 1)  # two layers
        assert row["wins"] + row["ties"] + row["losses"] == total
    assert [row["quantile"] for row in document["bounds"]] == [0.5, 0.9, 1.0] * 2
    # One case of each category has no wrong answer beside it.
    assert document["judges"] == [{"judge": "answers", "num_cases": 0, "right": 0, "ties": 0}]
    for name in ("loss", "geometry", "kinship", "bound", "wins"):
        assert f"![{name}.svg]({name}.svg)" in page
        assert (tmp_path / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_the_command_writes_the_report(tmp_path):
    words = "--base reference-early --tuned reference --questions 1 --layers 3 --alphas 0.5"
    result = CliRunner().invoke(
        app,
        ["eval", "two-models", *words.split(), "--operators", "lerp", "--out", str(tmp_path)],
    )
    assert result.exit_code == 0, result.output
    assert "report.md" in result.output
    assert (tmp_path / "report.md").is_file()


def test_eval_report_writes_the_same_report_again(finished, tmp_path):
    """It once took every run for one of answers, but those of confluence."""
    write_report(finished, tmp_path / "expected")
    words = ["eval", "report", str(finished), "--out", str(tmp_path / "again"), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    written = (tmp_path / "again" / "report.json").read_bytes()
    assert written == (tmp_path / "expected" / "report.json").read_bytes()
    assert json.loads(result.output) == json.loads(written)


def test_a_line_that_is_no_record_is_named(tmp_path):
    (tmp_path / RECORDS).write_bytes(b'{"setting": 1}\n')
    with pytest.raises(MalformedError, match="line 1"):
        list(read_records(tmp_path / RECORDS))


def test_the_sweep_is_that_of_the_source_for_large_models_and_whole_for_small_ones():
    assert swept_layers(4) == [0, 1, 2, 3]
    assert swept_layers(28) == [4, 9, 14, 19, 24, 27]
    assert swept_layers(30) == [4, 9, 14, 19, 24, 29]


def test_the_two_states_of_the_reference_model_are_two_models():
    early, final = load_model("reference-early"), load_model("reference")
    assert early.model_id != final.model_id
    assert KNOWN not in (BASE, TUNED)
