"""Tiny random models of every family, from fixed seeds: a few thousand parameters each."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.hf.variants import COMMON, VARIANTS


def make_model(
    variant: str, *, dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any
) -> PreTrainedModel:
    """Return a random model of this variant in evaluation mode; equal seeds give equal weights."""
    settings = {**COMMON, **VARIANTS.get(variant, {}), **changes}
    config = AutoConfig.for_model(variant.partition(" ")[0], **settings)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():  # far enough from 0 for attention to matter
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()
