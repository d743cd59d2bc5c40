"""Latent steps the slow way: everything computed again at every step, without a cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel


def naive_latent_inputs(
    model: PreTrainedModel, token_ids: Sequence[int], num_steps: int
) -> torch.Tensor:
    """Return what each latent step feeds, ``[num_steps, d]``, after these tokens at 0."""
    embed = model.get_input_embeddings()
    with torch.no_grad():
        table = embed(torch.arange(embed.weight.shape[0]))
        sequence = embed(torch.tensor(token_ids))
        for _ in range(num_steps):
            states = model(
                inputs_embeds=sequence[None], use_cache=False, output_hidden_states=True
            ).hidden_states[-1]
            fed = states[0, -1] @ least_squares(model).to(states.dtype)
            fed = fed * table.norm(dim=-1).mean() / fed.norm()
            sequence = torch.cat([sequence, fed[None]])
    return sequence[len(token_ids) :]


def least_squares(model: PreTrainedModel) -> torch.Tensor:
    """Return W by numpy's least squares, the ridge as rows of its own; I for tied embeddings."""
    outputs = model.get_output_embeddings().weight.detach().double().numpy()
    embed = model.get_input_embeddings()
    width = outputs.shape[1]
    if embed.weight is model.get_output_embeddings().weight:
        return torch.eye(width, dtype=torch.float64)
    with torch.no_grad():
        inputs = embed(torch.arange(embed.weight.shape[0])).double().numpy()
    ridge = np.sqrt(1e-5) * np.eye(width)
    solution, *_ = np.linalg.lstsq(
        np.vstack([outputs, ridge]), np.vstack([inputs, np.zeros((width, width))]), rcond=None
    )
    return torch.from_numpy(solution)
