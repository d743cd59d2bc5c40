"""What a plan's tokens were fed to the model as: token ids, and embeddings for latent rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from transformers import PreTrainedModel

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import LATENT_TOKEN, FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.errors import InvalidRequestError, UnrepairableError
from latentcrdt.hf.tensors import from_bytes
from latentcrdt.hf.tokens import vocab_size_of


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The tokens behind a plan's base, in render order, as a model takes them."""

    token_ids: torch.Tensor
    """``[N]``: `LATENT_TOKEN` where the row was fed an embedding."""
    embeddings: torch.Tensor | None
    """``[N, width]``: the input embedding of every token; None where no row is latent."""

    @classmethod
    def of(
        cls,
        plan: RenderPlan,
        fragments: Mapping[FragmentId, Fragment],
        model: PreTrainedModel,
    ) -> Inputs:
        """Return the inputs of the plan's placements; raises UnrepairableError as `check` does."""
        placed = [fragments[p.fragment_id] for p in plan.placements]
        for fragment in placed:
            check_inputs(fragment.header)
        token_ids = torch.tensor(
            list(chain.from_iterable(f.header.token_ids or () for f in placed)),
            dtype=torch.long,
            device=model.device,
        )
        latent = [_latent_inputs(f, model) for f in placed if f.header.num_latent_rows]
        return of_tokens(model, token_ids, torch.cat(latent) if latent else None)

    def arguments(self, rows: torch.Tensor | slice) -> dict[str, Any]:
        """Return the keyword arguments by which a model is fed some of the tokens."""
        if self.embeddings is None:
            return {"input_ids": self.token_ids[rows][None]}
        return {"inputs_embeds": self.embeddings[rows][None]}


def of_tokens(
    model: PreTrainedModel, token_ids: torch.Tensor, latent: torch.Tensor | None
) -> Inputs:
    """Return the inputs of these tokens, of which the latent ones take the rows of ``latent``.

    Raises InvalidRequestError for an id that the model does not know.
    """
    vocab_size = vocab_size_of(model)
    if bool((token_ids >= vocab_size).any()):
        raise InvalidRequestError(
            f"token id: expected one of the model's {vocab_size}, got {int(token_ids.max())}"
        )
    if latent is None:
        return Inputs(token_ids, None)
    is_latent = token_ids == LATENT_TOKEN
    with torch.no_grad():
        embed: Any = model.get_input_embeddings()
        embeddings = embed(token_ids.masked_fill(is_latent, 0))
        embeddings[is_latent] = latent.to(embeddings.dtype)
    return Inputs(token_ids, embeddings)


def check_inputs(header: FragmentHeader) -> None:
    """Raise UnrepairableError unless a fragment says what each of its rows was computed from."""
    if header.token_bytes is None:
        raise UnrepairableError(
            f"fragment {header.fragment_id}: expected its token ids, to compute rows again; its "
            f"sender withheld them",
            id=str(header.fragment_id),
        )
    if header.num_latent_rows and header.latent_inputs is None:
        raise UnrepairableError(
            f"fragment {header.fragment_id}: expected the input embeddings of its "
            f"{header.num_latent_rows} latent rows, to compute rows again; got none",
            id=str(header.fragment_id),
        )


def _latent_inputs(fragment: Fragment, model: PreTrainedModel) -> torch.Tensor:
    """Return the input embeddings ``[n_latent, width]`` of a fragment's latent rows."""
    header = fragment.header
    assert header.latent_inputs is not None
    embed: Any = model.get_input_embeddings()
    width = header.latent_inputs.width
    if width != embed.weight.shape[1]:
        raise UnrepairableError(
            f"fragment {header.fragment_id}: expected latent rows {embed.weight.shape[1]} wide, as "
            f"the model embeds tokens, got {width}",
            id=str(header.fragment_id),
        )
    shape = (header.num_latent_rows, width)
    section = fragment.section(header.sections[-1])
    return from_bytes(section, header.geometry.dtype, shape, model.device)
