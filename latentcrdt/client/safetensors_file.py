"""Write a safetensors file from buffers, without a tensor library and without holding it.

The format is small and stable: u64 little-endian header length, JSON header padded with spaces to
8 bytes, then the tensors without gaps. safetensors' own byte-level function changed its signature
between releases and takes whole tensors; the test reads what this writes with safetensors itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from latentcrdt.core.geometry import Dtype

DTYPE_NAMES = {Dtype.BF16: "BF16", Dtype.F16: "F16", Dtype.F32: "F32"}


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """One tensor to write: row-major, little-endian."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    pieces: Iterable[memoryview]
    """Its bytes, one piece after another; asked for once, when it is written."""

    @property
    def nbytes(self) -> int:
        """The length of all pieces together."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_safetensors(
    file: BinaryIO, tensors: Sequence[NamedTensor], metadata: Mapping[str, str]
) -> None:
    """Write the tensors in the order given; no more than one piece is touched at a time."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for tensor in tensors:
        stop = offset + tensor.nbytes
        header[tensor.name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, stop],
        }
        offset = stop
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little"))
    file.write(encoded)
    for tensor in tensors:
        written = sum(file.write(piece) for piece in tensor.pieces)
        assert written == tensor.nbytes, tensor.name
