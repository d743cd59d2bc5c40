"""Write a file beside its place and move it there when it is whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; it takes ``path``'s place, durably, when the block ends well.

    Otherwise it is removed and whatever was at ``path`` stays. Raises OSError as ``open`` does.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    # "x": never through a link, never over another's file; permissions follow the umask.
    with draft.open("xb+") as file:
        try:
            yield file
            sync(file)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def sync(file: BinaryIO) -> None:
    """Wait until everything written so far is on the disk."""
    file.flush()
    os.fsync(file.fileno())
