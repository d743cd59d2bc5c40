"""Rows as tensors, and the loss of attention that does not follow its guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from latentcrdt.evals.partitioned import FAMILIES
from latentcrdt.evals.reference.tokenizer import PADDING_ID
from scripts.reference_training.routes import Step
from scripts.reference_training.rows import make_row


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one number of shards, padded on the right."""

    token_ids: torch.Tensor
    """[B, T]"""
    told: torch.Tensor
    """[B, T] bool: words that the text before them tells."""
    steps: list[tuple[int, Step]]
    """Guidance, with the index of its row."""


def make_batch(num_rows: int, num_shards: int, first_seed: int, ids: dict[str, int]) -> Batch:
    """Return the batch of a seed, the families in turn."""
    families = list(FAMILIES)
    rows = [
        make_row(families[i % len(families)], num_shards, first_seed + i) for i in range(num_rows)
    ]
    longest = max(len(row.words) for row in rows)
    token_ids = torch.full((num_rows, longest), PADDING_ID)
    told = torch.zeros((num_rows, longest), dtype=torch.bool)
    for i, row in enumerate(rows):
        token_ids[i, : len(row.words)] = torch.tensor([ids[word] for word in row.words])
        told[i, : len(row.told)] = torch.tensor(row.told)
    return Batch(token_ids, told, [(i, step) for i, row in enumerate(rows) for step in row.steps])


def guidance_loss(
    attentions: Sequence[torch.Tensor], guidance: Sequence[tuple[int, Step]]
) -> torch.Tensor:
    """Return the mean negative log of the attention that goes where it is guided, over layers.

    ``attentions`` holds for each layer the weights ``[B, H, T, T]``, queries before keys.
    """
    losses = []
    for layer, weights in enumerate(attentions):
        steps = [(row, step) for row, step in guidance if step.layer == layer]
        if not steps:
            continue
        rows = torch.tensor([row for row, _ in steps])
        heads = torch.tensor([step.head for _, step in steps])
        queries = torch.tensor([step.query for _, step in steps])
        wanted = torch.zeros((len(steps), weights.shape[-1]))
        for i, (_, step) in enumerate(steps):
            wanted[i, list(step.keys)] = 1.0
        followed = (weights[rows, heads, queries] * wanted).sum(-1)  # [steps]
        losses.append(-followed.clamp_min(1e-9).log().mean())
    return torch.stack(losses).sum()
