"""Observation: what a model makes of the cases' texts, layer by layer, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.evals.two_models.cases import Case
from latentcrdt.hf.prefill import evaluation
from latentcrdt.merging.models.decoder import Decoder, hidden_of

KEPT = 16
"""Predictions of each text that are kept, the last ones: the whole vocabulary's logits are long."""

MAX_NEW_TOKENS = 12
"""Answers are a word or a few; a model of chat may lead up to them."""

BATCH = 20


@dataclass(frozen=True, slots=True)
class Text:
    """A case's prompt with its right answer behind, as tokens."""

    token_ids: tuple[int, ...]
    num_answer: int
    """How many of them, at the end, are the answer."""

    @property
    def num_kept(self) -> int:
        """How many predictions are kept."""
        return min(KEPT, len(self.token_ids) - 1)


@dataclass(frozen=True, slots=True)
class Observation:
    """One model, or two merging, on every text."""

    logits: tuple[torch.Tensor, ...]
    """For each text ``[num_kept, V]``, float32: what predicts its last tokens."""
    hidden: tuple[tuple[torch.Tensor, ...], ...]
    """For each layer and text ``[T, D]``: what the layer gives, merged where it merges."""

    def losses(self, index: int, text: Text) -> torch.Tensor:
        """Return the cross-entropy ``[num_kept]`` of a text's last tokens, in nats."""
        logits = self.logits[index]
        wanted = torch.tensor(text.token_ids[-len(logits) :], device=logits.device)
        return nn.functional.cross_entropy(logits, wanted, reduction="none")

    def answer_loss(self, index: int, text: Text) -> float:
        """Return the mean loss of the answer's tokens."""
        return float(self.losses(index, text)[-text.num_answer :].mean())


def encode(case: Case, tokenizer: PreTrainedTokenizerBase) -> Text:
    """Return a case's text as tokens; prompt and answer meet where tokenizers separate."""
    prompt: list[int] = tokenizer(case.prompt)["input_ids"]
    answer: list[int] = tokenizer(case.answer, add_special_tokens=False)["input_ids"]
    return Text((*prompt, *answer), min(len(answer), KEPT))


def observe(model: PreTrainedModel, texts: Sequence[Text]) -> Observation:
    """Run a model, merging or not, over the texts, one at a time."""
    logits: list[torch.Tensor] = []
    decoder = Decoder.of(model)
    hidden: list[list[torch.Tensor]] = [[] for _ in decoder.layers]
    handles = [
        layer.register_forward_hook(
            lambda _module, _args, output, seen=seen: seen.append(hidden_of(output)[0])
        )
        for layer, seen in zip(decoder.layers, hidden, strict=True)
    ]
    try:
        for text in texts:
            ids = torch.tensor([text.token_ids], device=model.device)
            with evaluation(model):
                found = model(ids, use_cache=False, logits_to_keep=text.num_kept + 1).logits
            logits.append(found[0, -text.num_kept - 1 : -1].float())
    finally:
        for handle in handles:
            handle.remove()
    return Observation(tuple(logits), tuple(map(tuple, hidden)))


def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cases: Sequence[Case]
) -> dict[str, str]:
    """Return what the model writes behind each prompt, decoding greedily in padded batches."""
    texts: dict[str, str] = {}
    generate: Any = model.generate
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        rows = [tokenizer(case.prompt)["input_ids"] for case in batch]
        width = max(map(len, rows))
        padding = tokenizer.pad_token_id or 0
        ids = torch.tensor([[padding] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with evaluation(model):
            written = generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=padding,
            )
        for case, row in zip(batch, written[:, width:], strict=True):
            texts[case.case_id] = str(tokenizer.decode(row, skip_special_tokens=True)).strip()
    return texts
