"""The state of a training run in one safetensors file, replaced whole: no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn


def save(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    facts: dict[str, Any],
) -> None:
    """Write weights, optimizer states and some JSON; a reader sees the old file or the new one."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for i, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{index}/{key}": value for key, value in state.items()}
    new = path.with_suffix(".new")
    save_file(tensors, new, metadata={"facts": json.dumps(facts)})
    with new.open("rb") as written:
        os.fsync(written.fileno())
    new.replace(path)


def facts_of(path: Path) -> dict[str, Any]:
    """Return the JSON that was saved with a state."""
    with safe_open(path, framework="pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    return facts


def load(path: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put a saved state back, exactly."""
    weights: dict[str, torch.Tensor] = {}
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for name, tensor in load_file(path).items():
        kind, *rest = name.split("/")
        if kind == "model":
            weights[rest[0]] = tensor
        else:
            i, index, key = rest
            states[int(i)].setdefault(int(index), {})[key] = tensor
    model.load_state_dict(weights)
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
