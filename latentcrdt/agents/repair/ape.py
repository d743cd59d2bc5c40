"""APE: decode from fragments at the same positions, with the context's attention sharpened.

Adaptive Parallel Encoding, arXiv 2502.05431. All fragments stand at the same positions (layout
``parallel``), behind one shared prefix. For a query, let z be its scores (already divided by the
root of the head dimension) with the rows of the fragments, and L = log sum exp(z / T) over them.
Within the fragments it attends by softmax(z / T); against everything else (the prefix, the question
and the tokens decoded so far) all of them together weigh exp(S T L) instead of sum exp(z). The
authors' code multiplies the log-sum by S T, not by S alone; so does this.

That is one softmax over all rows in which the fragments' scores are z / T + (S T - 1) L. The
temperature alone could be folded into the stored keys, as K / T. The second term cannot: it is
another number for each query. So the bytes stay as they were captured, rounded once, and both are
applied when a model decodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel

from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.errors import InvalidRequestError, UnrepairableError, UnsupportedModelError

_numbers = count()


@dataclass(frozen=True, slots=True)
class APE:
    """The temperature and the scale; the defaults are the authors'. 1 and 1 change nothing."""

    temperature: float = 0.9
    """T: below 1 sharpens the attention within the fragments."""
    scale: float = 0.9
    """S: below 1 makes the fragments weigh less against what is not of them."""

    def __post_init__(self) -> None:
        for name, value in (("temperature", self.temperature), ("scale", self.scale)):
            if not 0 < value <= 1:
                raise InvalidRequestError(f"{name}: expected above 0 and up to 1, got {value}")

    @contextmanager
    def attention(self, model: PreTrainedModel, plan: RenderPlan) -> Iterator[None]:
        """Make a model attend so while it decodes one sequence from a render of this plan.

        The model's own attention is put back at the end, whatever happens; other models never
        notice. Raises UnrepairableError for another layout than ``parallel``, UnsupportedModelError
        for layers that slide and for attention that is not the plain softmax of scores.
        """
        if plan.layout is not Layout.PARALLEL:
            raise UnrepairableError(
                f"render {plan.render_id}: expected layout parallel, got {plan.layout}",
                layout=str(plan.layout),
            )
        _check_model(model, plan)
        first = sum(prefix.seq_len for prefix in plan.prefixes)
        attention = _Attention(self, slice(first, plan.num_tokens))
        with _registered(attention) as name, _attending(model, name):
            yield


def ape_scores(scores: torch.Tensor, context: slice, ape: APE) -> torch.Tensor:
    """Return the scores ``[..., T]`` of one softmax that attends as APE does.

    ``context``: the rows of the fragments, which every query sees.
    """
    sharpened = scores[..., context] / ape.temperature
    log_sum = sharpened.logsumexp(-1, keepdim=True)
    changed = scores.clone()
    changed[..., context] = sharpened + (ape.scale * ape.temperature - 1) * log_sum
    return changed


class _Attention:
    """An attention function as transformers calls it; it computes all in float32 or above."""

    def __init__(self, ape: APE, context: slice) -> None:
        self._ape = ape
        self._context = context

    def __call__(  # noqa: PLR0917  # as transformers calls it
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attend from ``[1, Hq, n, D]`` to ``[1, H, T, D]``; return ``[1, n, Hq, D_v]``."""
        del attention_mask  # transformers makes none for an attention that it does not know
        for name in ("softcap", "s_aux"):
            if others.get(name) is not None:
                raise UnsupportedModelError(
                    f"{type(module).__name__}: APE is defined on a plain softmax of scores, and "
                    f"this attention has {name!r}",
                    argument=name,
                )
        num_queries, num_rows = query.shape[2], key.shape[2]
        if query.shape[0] != 1 or num_rows < self._context.stop + num_queries:
            raise InvalidRequestError(
                f"APE decodes one sequence behind the {self._context.stop} rows of its render; got "
                f"{query.shape[0]} with {num_rows} rows, {num_queries} of them new"
            )
        wide = torch.promote_types(query.dtype, torch.float32)
        grouped = query.to(wide).reshape(1, key.shape[1], -1, *query.shape[2:])  # [1, H, G, n, D]
        scores = grouped @ key.to(wide)[:, :, None].transpose(-1, -2)  # [1, H, G, n, T]
        scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        scores = ape_scores(scores, self._context, self._ape)
        hidden = torch.ones((num_queries, num_rows), dtype=torch.bool, device=query.device)
        hidden = hidden.triu(num_rows - num_queries + 1)
        weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
        output = weights @ value.to(wide)[:, :, None]  # [1, H, G, n, D_v]
        return output.flatten(1, 2).transpose(1, 2).to(query.dtype).contiguous(), None


def _check_model(model: PreTrainedModel, plan: RenderPlan) -> None:
    name = model.config.model_type
    sliding = [i for i, spec in enumerate(plan.geometry.layers) if spec.window is not None]
    if sliding:
        raise UnsupportedModelError(
            f"{name}: APE lets every query see all fragments, and layer {sliding[0]} slides",
            layer=sliding[0],
        )
    if not getattr(type(model), "_supports_attention_backend", False):
        raise UnsupportedModelError(
            f"{name}: its attention takes no other function than its own, so APE cannot be applied"
        )


@contextmanager
def _registered(attention: _Attention) -> Iterator[str]:
    """Lend transformers an attention function under a name that nobody else has."""
    name = f"latentcrdt-ape-{next(_numbers)}"
    AttentionInterface.register(name, attention)
    try:
        yield name
    finally:
        del AttentionInterface._global_mapping[name]  # noqa: SLF001  # register has no opposite


@contextmanager
def _attending(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Set the attention function of every part of a model, and put each one back."""
    parts: Iterator[Any] = model.modules()
    configs = {id(part.config): part.config for part in parts if hasattr(part, "config")}
    before = [(config, config._attn_implementation) for config in configs.values()]  # noqa: SLF001
    try:
        for config, _ in before:
            config._attn_implementation = name  # noqa: SLF001
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation = implementation  # noqa: SLF001
