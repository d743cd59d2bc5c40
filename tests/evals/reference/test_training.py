"""The training script on a few steps: it resumes exactly, and writes what the loader reads."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from latentcrdt.evals.partitioned import FAMILIES, contexts, split_of
from latentcrdt.evals.reference.tokenizer import EOS, make_tokenizer, words_of
from scripts import train_reference_model
from scripts.reference_training.batch import guidance_loss, make_batch
from scripts.reference_training.routes import BIND, FIRST, SECOND, Step
from scripts.reference_training.rows import make_row
from scripts.reference_training.run import Run, Settings

FEW = Settings(steps=4, batch_rows=5, wide_from=0.0, warmup_steps=2, guided_part=0.75)
"""Guidance ends with the third of four steps, so a resumed run has steps of both kinds."""


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    whole = Run(FEW)
    losses = [whole.advance() for _ in range(4)]
    stopped = Run(FEW)
    stopped.advance()
    stopped.advance()
    stopped.save(tmp_path / "state.safetensors")
    torch.rand(7)  # whatever else draws random numbers has no influence
    resumed = Run.resume(tmp_path / "state.safetensors")
    assert [resumed.advance() for _ in range(2)] == losses[2:]
    expected, got = weights_of(whole), weights_of(resumed)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_step_lowers_the_loss_on_its_own_batch():
    run = Run(Settings(steps=100, batch_rows=5, warmup_steps=1))
    batch = run._batch()
    run._batch = lambda: batch
    losses = [run.advance()["told_loss"] for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]


def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train_reference_model", *map(str, arguments)])
    train_reference_model.main()


def test_the_script_stops_goes_on_and_writes_a_model(tmp_path, monkeypatch):
    arguments = ["--work", tmp_path / "work", "--target", tmp_path / "target", "--every", 2]
    arguments += ["--steps", 4, "--batch-rows", 5, "--questions", 4]
    run_script(monkeypatch, *arguments, "--stop-after", 2)
    assert not (tmp_path / "target").exists()
    run_script(monkeypatch, *arguments)
    log = json.loads((tmp_path / "target" / "training-log.json").read_text())
    assert [entry["step"] for entry in log["log"]] == [2, 4]
    assert set(log["held_out"]["accuracy"]["5"]) == set(FAMILIES)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "target" / "final")
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()
    final, early = (
        Qwen3ForCausalLM.from_pretrained(tmp_path / "target" / name) for name in ("final", "early")
    )
    assert not torch.equal(final.lm_head.weight, early.lm_head.weight)


def test_a_state_of_other_settings_is_refused(tmp_path, monkeypatch):
    arguments = ["--work", tmp_path, "--batch-rows", 5, "--stop-after", 0]
    run_script(monkeypatch, *arguments)
    Run(FEW).save(tmp_path / "state.safetensors")
    with pytest.raises(SystemExit, match="other settings"):
        run_script(monkeypatch, *arguments)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_shards", [2, 5])
def test_a_row_is_plain_text_of_the_train_split_with_what_is_told_marked(family, num_shards):
    for seed in range(20):
        row = make_row(family, num_shards, seed)
        context = next(contexts(family, num_shards=num_shards, split="train", seed=seed))
        assert split_of(context.shards) == "train"
        text = words_of(" ".join(context.shards))
        assert row.words[0] == "<s>"
        assert row.words[1 : len(text) + 1] == text
        assert not any(row.told[: len(text) + 1])
        answers = {ask.answer for ask in context.asks}
        for i, (word, told) in enumerate(zip(row.words, row.told, strict=True)):
            if word == EOS:
                assert row.told[i - 1]
                assert row.words[i - 1] in answers
            elif told and row.words[i + 1] != EOS:
                assert word in text


def test_a_batch_has_every_family_and_no_unknown_word():
    ids = make_tokenizer().get_vocab()
    batch = make_batch(10, 3, 0, ids)
    assert batch.token_ids.shape == batch.told.shape
    assert not (batch.token_ids == ids["<unk>"]).any()
    assert batch.told.any(dim=1).all()
    starts = {tuple(row[:30].tolist()) for row in batch.token_ids}
    assert len(starts) == 10


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_leads_from_the_question_to_the_answer(family):
    """Follow each question's steps by hand: the words passed on the way are those of the facts."""
    for seed in range(20):
        row = make_row(family, 3, seed)
        assert all(key < step.query for step in row.steps for key in step.keys)
        for end in (i for i, word in enumerate(row.words) if word == "?"):
            answer = row.words[end + 1]
            seen = {
                step.layer: {row.words[key] for key in step.keys}
                for step in row.steps
                if step.query == end
            }
            if family in {"lookup", "two-hop"}:
                assert seen.keys() == {BIND, FIRST, SECOND}
                assert seen[BIND] == {row.words[end - 2 if family == "two-hop" else end - 1]}
                text = " ".join(row.words)
                (link,) = seen[FIRST]
                if family == "two-hop":
                    assert seen[SECOND] == {answer}
                    assert f"The {link} key opens the {answer} ." in text
                else:
                    assert seen[SECOND] == {link}
                    assert f"{answer} lives in {link} ." in text
            elif family != "counting":
                assert {answer} in seen.values()


def test_guidance_costs_nothing_where_it_is_followed_and_much_elsewhere():
    weights = torch.zeros(2, 1, 1, 3, 3)  # [L, B, H, T, T]
    weights[:, 0, 0, 2, 1] = 1.0
    followed = [(0, Step(0, 0, 2, (1,))), (0, Step(1, 0, 2, (0, 1)))]
    assert guidance_loss(weights, followed).item() == 0.0
    assert guidance_loss(weights, [(0, Step(0, 0, 2, (0,)))]).item() > 10.0
