"""Realignment: from a model's last hidden state to what it may be fed next (arXiv 2511.20639).

A latent step feeds the last hidden state back as an input embedding. Where input and output
embeddings differ, the state lies in the space of the output ones; W maps it to the input's:
``W = (E_out^T E_out + 1e-5 I)^-1 E_out^T E_in``, least squares with a small ridge. Either way the
result gets the length of an ordinary input embedding, since a state is many times longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from latentcrdt.errors import UnsupportedModelError
from latentcrdt.hf.model_id import Fingerprint, fingerprint
from latentcrdt.hf.prefill import evaluation
from latentcrdt.hf.tokens import vocab_size_of

RIDGE = 1e-5
"""The weight of the identity in W, as published."""


@dataclass(frozen=True, slots=True, eq=False)
class Realignment:
    """How one model's hidden states become input embeddings."""

    matrix: torch.Tensor | None
    """W ``[d, d]``, applied from the right; None for tied embeddings, where it is the identity.

    For tied ones the formula gives I to 6e-6 (measured), so that nothing is lost by leaving it out.
    """
    mean_norm: float
    """Mean Euclidean length of an input embedding, as the embedding layer returns it."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Realignment:
        """Return a model's realignment; computed once for each instance, and when it changed.

        Raises UnsupportedModelError for a model without output embeddings as wide as its input's.
        """
        mark = fingerprint(model)
        known = _realignments.get(model)
        if known is None or known[0] != mark:
            known = _realignments[model] = (mark, cls._compute(model))
        return known[1]

    @classmethod
    def _compute(cls, model: PreTrainedModel) -> Realignment:
        live: Any = model  # transformers leaves its accessors untyped
        embed, head = live.get_input_embeddings(), live.get_output_embeddings()
        if head is None or head.weight.shape != embed.weight.shape:
            shape = None if head is None else list(head.weight.shape)
            raise UnsupportedModelError(
                f"{model.config.model_type}: a latent step needs output embeddings of the input's "
                f"shape {list(embed.weight.shape)}, got {shape}"
            )
        with evaluation(model):
            # Through the layer: some families scale what the table holds.
            rows = embed(torch.arange(vocab_size_of(model), device=embed.weight.device)).double()
            matrix = None
            if not torch.equal(head.weight, embed.weight):
                matrix = realignment_matrix(rows, head.weight.double()).to(_working(model.dtype))
        return cls(matrix, float(rows.norm(dim=-1).mean()))

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the input embedding ``[d]`` that a last hidden state ``[d]`` is fed back as."""
        state = hidden.to(_working(hidden.dtype))
        if self.matrix is not None:
            state = state @ self.matrix
        embedding: torch.Tensor = state * (self.mean_norm / state.norm())
        return embedding.to(hidden.dtype)


def realignment_matrix(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """Return W ``[d, d]`` for embeddings ``[V, d]``."""
    gram = outputs.T @ outputs + RIDGE * torch.eye(
        outputs.shape[1], dtype=outputs.dtype, device=outputs.device
    )
    matrix: torch.Tensor = torch.linalg.solve(gram, outputs.T @ inputs)
    return matrix


def _working(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in: half precision would round the lengths."""
    return torch.promote_types(dtype, torch.float32)


_realignments: WeakKeyDictionary[PreTrainedModel, tuple[Fingerprint, Realignment]] = (
    WeakKeyDictionary()
)
