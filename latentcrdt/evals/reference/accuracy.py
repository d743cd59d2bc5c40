"""How often the reference model is right when it reads everything as one plain text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from latentcrdt.evals.partitioned import PLAIN, Question
from latentcrdt.hf.prefill import evaluation

BATCH = 64


def num_right(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, questions: Sequence[Question]
) -> int:
    """Return how many questions the model answers: its likeliest next word is the answer.

    Any word of the vocabulary may come; the admissible ones are not favoured.
    """
    tokenizer.padding_side = "right"
    right = 0
    for i in range(0, len(questions), BATCH):
        batch = questions[i : i + BATCH]
        inputs = tokenizer(
            [PLAIN.text(question) for question in batch], padding=True, return_tensors="pt"
        )
        ends = inputs["attention_mask"].sum(1) - 1  # [B], index of the last token of each text
        with evaluation(model):
            # Attention is causal and the padding comes last: no token sees it, no mask is needed.
            logits = model(input_ids=inputs["input_ids"], use_cache=False).logits  # [B, T, V]
        best = logits[torch.arange(len(batch)), ends].argmax(-1)  # [B]
        answers = tokenizer.convert_tokens_to_ids([question.answer for question in batch])
        right += int((best == torch.tensor(answers)).sum())
    return right
