"""The shipped weights, tried for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.partitioned import FAMILIES, NUM_SHARDS, PLAIN, questions, read_answer
from latentcrdt.evals.reference import CHECKPOINTS, checkpoint_path, load_reference_model
from latentcrdt.evals.reference.accuracy import num_right
from latentcrdt.evals.reference.tokenizer import make_tokenizer, vocabulary, words_of
from latentcrdt.hf import ModelContract

SAMPLE = 60
ALLOWED_BYTES = 20 * 10**6


@pytest.fixture(scope="module")
def loaded():
    return load_reference_model()


def training_log():
    return json.loads((checkpoint_path().parent / "training-log.json").read_text())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_shards", [2, 3])
def test_the_weights_answer_as_well_as_the_log_says(loaded, family, num_shards):
    claimed = training_log()["held_out"]["accuracy"][str(num_shards)][family]
    # Questions that the log was not made from. Four standard deviations of a sample, and one miss.
    asked = questions(family, num_shards=num_shards, count=SAMPLE, split="held-out", seed=11)
    slack = 4 * (claimed * (1 - claimed) / SAMPLE) ** 0.5 + 1 / SAMPLE
    assert num_right(*loaded, asked) / SAMPLE >= claimed - slack


@pytest.mark.parametrize("family", FAMILIES)
def test_the_log_claims_what_the_benchmark_needs(family):
    held_out = training_log()["held_out"]
    assert held_out["questions"] >= 500
    assert held_out["accuracy"]["2"][family] >= 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_shards_hardly_matters_to_a_single_agent(loaded, family):
    model, tokenizer = loaded
    asked = questions(family, num_shards=2, count=20, split="held-out", seed=5)
    right = 0
    for question in asked:
        text = PLAIN.text(question, [1, 0])
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=4, do_sample=False)
        answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
        assert answer.endswith("</s>"), "an answer is one word, then the end"
        right += read_answer(answer, question.choices) == question.answer
    assert right >= 18


@pytest.mark.parametrize("family", FAMILIES)
def test_no_shard_alone_gives_more_than_chance(loaded, family):
    asked = questions(family, num_shards=2, count=SAMPLE, split="held-out", seed=12)
    chance = float(FAMILIES[family].chance)
    for left in (0, 1):
        alone = [
            type(q)(q.question_id, family, (q.shards[left],), q.question, q.answer, q.choices)
            for q in asked
        ]
        assert num_right(*loaded, alone) / SAMPLE <= chance + 4 * (0.25 / SAMPLE) ** 0.5


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_the_contract_accepts_it(checkpoint):
    model, _ = load_reference_model(checkpoint)
    contract = ModelContract.of(model)
    assert contract.name == "qwen3"
    assert contract.evidence.keys_error < 1e-4


def test_the_embeddings_are_untied_and_the_checkpoints_differ():
    (final, _), (early, _) = (load_reference_model(name) for name in CHECKPOINTS)
    embedding, head = final.get_input_embeddings().weight, final.get_output_embeddings().weight
    assert embedding.shape == head.shape
    assert not torch.equal(embedding, head)
    configs = [(checkpoint_path(name) / "config.json").read_bytes() for name in CHECKPOINTS]
    assert configs[0] == configs[1]
    assert not torch.equal(head, early.get_output_embeddings().weight)


def test_the_shipped_tokenizer_is_the_one_that_the_words_make(loaded):
    _, tokenizer = loaded
    made = make_tokenizer()
    assert tokenizer.get_vocab() == made.get_vocab() == vocabulary()
    for family in FAMILIES:
        for k in NUM_SHARDS:
            for question in questions(family, num_shards=k, count=3, split="held-out"):
                text = f"{PLAIN.text(question)}{PLAIN.answer_text(question.answer)}"
                ids = tokenizer(text)["input_ids"]
                assert tokenizer.unk_token_id not in ids
                assert ids == made(text)["input_ids"]
                assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", *words_of(text)]
                expected = re.sub(r"\s+", " ", text)
                assert tokenizer.decode(ids, skip_special_tokens=True) == expected


def test_what_is_shipped_is_small_and_no_pickle():
    files = [file for file in checkpoint_path().parent.rglob("*") if file.is_file()]
    shipped = [file for file in files if file.suffix not in {".py", ".pyc"}]
    assert {file.suffix for file in shipped} == {".json", ".safetensors"}
    assert sum(file.stat().st_size for file in shipped) <= ALLOWED_BYTES


def test_loading_asks_no_network():
    program = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from latentcrdt.evals.reference import load_reference_model\n"
        "load_reference_model()"
    )
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    env.pop("HF_HUB_OFFLINE", None)
    subprocess.run([sys.executable, "-c", program], env=env, check=True)


def test_a_checkpoint_that_does_not_exist_is_refused():
    with pytest.raises(InvalidRequestError, match="expected one of"):
        load_reference_model("best")
