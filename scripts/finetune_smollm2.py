"""Fine-tune SmolLM2-135M on partitioned questions: a second model of its architecture.

Everything but the embeddings is trained, on the tokens of the answers alone, with seeded questions
of the training split whose texts one reader has all before it. The same seed, versions and number
of threads give the same weights. ``python -m scripts.finetune_smollm2 FOLDER``
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.evals.partitioned import FAMILIES, Prompt, Question, chat_prompt, read_answer
from latentcrdt.evals.partitioned.generator import questions
from latentcrdt.evals.provenance import package_versions, session_facts
from latentcrdt.hf.prefill import evaluation
from latentcrdt.hf.smollm2 import load_smollm2

END = "<|im_end|>"
"""What ends an answer in the model's chat template."""

UNCOUNTED = -100
"""torch's label for a token whose loss does not count."""

NUM_SHARDS = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What the weights depend on."""

    steps: int
    batch: int = 8
    learning_rate: float = 1e-4
    warmup_steps: int = 5
    seed: int = 0


def batches(settings: Settings) -> Iterator[list[Question]]:
    """Yield the questions of each step, families taking turns."""
    count = -(-settings.steps * settings.batch // len(FAMILIES))
    by_family = [
        questions(f, num_shards=NUM_SHARDS, count=count, split="train", seed=settings.seed)
        for f in FAMILIES
    ]
    turns = [question for turn in zip(*by_family, strict=True) for question in turn]
    for step in range(settings.steps):
        yield turns[step * settings.batch : (step + 1) * settings.batch]


def loss_of(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompt: Prompt, batch: Sequence[Question]
) -> torch.Tensor:
    """Return the mean loss of the answers' tokens."""
    rows, labels = [], []
    for question in batch:
        before = tokenizer(prompt.text(question))["input_ids"]
        answer = tokenizer(prompt.answer_text(question.answer) + END)["input_ids"]
        rows.append(torch.tensor(before + answer))
        labels.append(torch.tensor([UNCOUNTED] * len(before) + answer))
    # Attention is causal and the padding comes last: no token sees it, no mask is needed.
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [B, T]
    wanted = nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=UNCOUNTED)[:, 1:]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    counted = wanted != UNCOUNTED
    # The head sees only what counts: 49,152 logits for every token would cost more than the model.
    return nn.functional.cross_entropy(model.lm_head(hidden[counted]), wanted[counted])


def train(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> list[float]:
    """Train in place and return the loss of each step."""
    prompt = chat_prompt(tokenizer)
    model.get_input_embeddings().requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    losses = []
    model.train()
    for step, batch in enumerate(batches(settings)):
        warmup = min(1.0, (step + 1) / settings.warmup_steps)
        decay = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * warmup * decay
        loss = loss_of(model, tokenizer, prompt, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss))
        print(f"step {step + 1}/{settings.steps}: loss {losses[-1]:.3f}", flush=True)
    model.eval()
    model.requires_grad_(True)
    return losses


def accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Question]
) -> float:
    """Return the share of questions that the model answers rightly, decoding greedily."""
    prompt = chat_prompt(tokenizer)
    right = 0
    for question in asked:
        inputs = tokenizer(prompt.text(question), return_tensors="pt")
        generate: Any = model.generate
        with evaluation(model):
            ids = generate(**inputs, max_new_tokens=8, do_sample=False)
        text = tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right += read_answer(text, question.choices) == question.answer
    return right / len(asked)


def main() -> None:
    """Train, and write the model, its tokenizer and a log to the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new folder for the tuned model")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--asked", type=int, default=10, help="held-out questions of each family")
    arguments = parser.parse_args()
    settings = Settings(arguments.steps, seed=arguments.seed)
    arguments.folder.mkdir(parents=True)
    torch.manual_seed(settings.seed)
    model, tokenizer = load_smollm2()
    asked = [
        question
        for family in FAMILIES
        for question in questions(
            family, num_shards=NUM_SHARDS, count=arguments.asked, split="held-out"
        )
    ]
    before = accuracy(model, tokenizer, asked)
    began = time.perf_counter()
    losses = train(model, tokenizer, settings)
    log = {
        "settings": asdict(settings),
        "training_s": round(time.perf_counter() - began, 1),
        "losses": [round(loss, 4) for loss in losses],
        "held_out": {
            "questions": len(asked),
            "accuracy_before": before,
            "accuracy_after": accuracy(model, tokenizer, asked),
        },
        "versions": package_versions(),
        "session": session_facts(),
    }
    model.save_pretrained(arguments.folder)
    tokenizer.save_pretrained(arguments.folder)
    (arguments.folder / "finetuning.json").write_text(json.dumps(log, indent=1) + "\n")
    print(json.dumps(log["held_out"]))


if __name__ == "__main__":
    main()
