"""The model id: which weights made a fragment (DESIGN section 3, RENDER_SPEC section 4)."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn

from latentcrdt.core.encoding import Hasher, encode
from latentcrdt.hf.tensors import to_bytes

KIND = "latentcrdt.parameter"
VERSION = 1

SAMPLE_BYTES = 4096
"""Bytes hashed at either end of each parameter: milliseconds for any model."""

DIGEST_DIGITS = 32
"""Hexadecimal digits of the digest that the id keeps: 128 bits."""

Fingerprint: TypeAlias = tuple[tuple[int, torch.dtype, int], ...]
"""Address, dtype and number of in-place writes of every parameter and buffer."""


def model_id(model: nn.Module, name: str) -> str:
    """Return ``name@digest`` of the model's parameters.

    The digest is BLAKE3 over every parameter's name, dtype, shape, and first and last 4 KiB, in
    order of names. ``name`` is the model type of the configuration, never a folder's or a hub's
    name: the same weights must have the same id wherever they were loaded from.
    """
    hasher = Hasher()
    for parameter_name, parameter in sorted(model.named_parameters()):
        flat = parameter.detach().reshape(-1)
        count = SAMPLE_BYTES // flat.element_size()
        fields = [
            parameter_name,
            str(parameter.dtype).removeprefix("torch."),
            list(parameter.shape),
            bytes(to_bytes(flat[:count])),
            bytes(to_bytes(flat[max(0, len(flat) - count) :])),
        ]
        hasher.update(encode(KIND, VERSION, fields))
    return f"{name}@{hasher.digest().hex()[:DIGEST_DIGITS]}"


def fingerprint(model: nn.Module) -> Fingerprint:
    """Return what changes when a parameter or buffer is replaced, converted or written to.

    Reads no element. Only good for noticing a change of one model instance, while it lives.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return tuple((t.data_ptr(), t.dtype, _num_writes(t)) for t in tensors)


def _num_writes(tensor: torch.Tensor) -> int:
    # Inference tensors keep no count; torch also refuses to write to them outside inference mode.
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001  # documented by torch, has no other name
