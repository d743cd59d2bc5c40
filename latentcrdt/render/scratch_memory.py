"""Memory that may have the size of a body: up to a bound in memory, above it in an unnamed file."""

from __future__ import annotations

import os
import tempfile

import numpy as np
from numpy.typing import NDArray

from latentcrdt.errors import StoreFullError

MAX_IN_MEMORY = 8 << 20
"""Bytes above which the file system holds them: memory must not grow with a body."""


def scratch_memory(num_bytes: int) -> NDArray[np.uint8]:
    """Return writable bytes; StoreFullError if the temporary folder has no room for them."""
    if num_bytes <= MAX_IN_MEMORY:
        return np.empty(num_bytes, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        try:
            # Reserved first: a page of a mapping that finds no room ends the process.
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        except OSError as error:
            raise StoreFullError(
                f"no room for {num_bytes} bytes in the temporary folder"
            ) from error
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=(num_bytes,))
