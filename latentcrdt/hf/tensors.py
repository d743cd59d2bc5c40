"""Between tensors and the little-endian bytes that a fragment holds."""

from __future__ import annotations

import numpy as np
import torch

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import UnsupportedDtypeError

TORCH_DTYPES = {
    Dtype.BF16: torch.bfloat16,
    Dtype.F16: torch.float16,
    Dtype.F32: torch.float32,
}

_INTEGERS: dict[int, tuple[torch.dtype, np.dtype[np.integer]]] = {
    1: (torch.uint8, np.dtype("<u1")),
    2: (torch.int16, np.dtype("<i2")),
    4: (torch.int32, np.dtype("<i4")),
    8: (torch.int64, np.dtype("<i8")),
}
"""By item size: the integers as which elements cross to numpy, which has no bf16."""


def dtype_of(tensor: torch.Tensor) -> Dtype:
    """Return the dtype that a fragment of such elements has, or raise UnsupportedDtypeError."""
    for dtype, torch_dtype in TORCH_DTYPES.items():
        if tensor.dtype == torch_dtype:
            return dtype
    expected = ", ".join(Dtype)
    raise UnsupportedDtypeError(
        f"keys and values: expected one of {expected}, got {tensor.dtype}", expected=list(Dtype)
    )


def to_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the elements of a tensor of any device, row-major, as little-endian bytes."""
    integer, little_endian = _INTEGERS[tensor.element_size()]
    array = tensor.detach().cpu().contiguous().view(integer).numpy()
    return array.astype(little_endian, copy=False).reshape(-1).view(np.uint8).data


def from_bytes(
    data: Buffer, dtype: Dtype, shape: tuple[int, ...], device: torch.device
) -> torch.Tensor:
    """Return a new tensor of the elements that ``data`` holds; it shares no memory with it."""
    integer, little_endian = _INTEGERS[dtype.itemsize]
    array = np.frombuffer(data, dtype=little_endian).astype(little_endian.newbyteorder("="))
    tensor = torch.from_numpy(array).view(integer).view(TORCH_DTYPES[dtype])
    return tensor.reshape(shape).to(device)
