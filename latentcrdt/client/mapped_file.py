"""Read a file through the page cache instead of through memory of our own."""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def map_file(path: Path) -> memoryview:
    """Return a file's bytes, mapped read-only; raises OSError as ``open`` does.

    The mapping lives as long as the view. Whoever shortens the file meanwhile ends this process:
    a file that others write must be replaced whole, as everything here does.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")  # an empty file cannot be mapped
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
