"""``latentcrdt eval confluence`` by path, on a GPT-2, which cannot move."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from latentcrdt.evals.confluence.record import read_records
from latentcrdt.hf.smollm2 import SMOLLM2


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """Return the folder of a model as `gpt2` is published, but small and untrained."""
    from transformers import AutoTokenizer

    path = tmp_path_factory.mktemp("models") / "gpt2-random"
    # As GPT-2's: BPE over bytes, words that begin with a space, and no BOS of its own accord.
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2.directory(), local_files_only=True)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=12, n_head=2, n_positions=256)
    AutoModelForCausalLM.from_config(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def finished(gpt2, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, [
        *("eval", "confluence", "--model", gpt2, "--out", out, "--pairs", "1"),
        *("--prefixes", "8", "--searches", ""),
    ]


def test_a_model_that_cannot_move_is_measured_by_path(run, finished):
    out, command = finished
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert str(out / "report.md") in result.stdout
    records = list(read_records(out / "records.jsonl"))
    assert [r.refused for r in records] == [None] * 16
    document = json.loads((out / "report.json").read_bytes())
    assert document["settings"]["model"] == "gpt2-random"
    assert document["settings"]["layers"] == 12
    verdicts = {h["finding"]["claim"]: h["finding"]["verdict"] for h in document["findings"]}
    # The one finding that needs twelve layers can be tested on this one, and on no other here.
    assert verdicts["A fixed weight on 12 layers gives no confluence"] == "refuted"


def test_the_report_is_written_again_without_the_model(run, finished, gpt2, tmp_path):
    out, command = finished
    if not (out / "report.md").exists():
        assert run(*command).exit_code == 0
    result = run("eval", "report", out, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "report.json").read_bytes())
    for name in ("report.md", "report.json", "regime-map.svg"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_a_search_that_is_none_is_named(run, gpt2, tmp_path):
    result = run(
        *("eval", "confluence", "--model", gpt2, "--out", tmp_path / "run"),
        *("--searches", "dowsing"),
    )
    assert result.exit_code == 1
    assert "searches: expected some of" in result.stderr
