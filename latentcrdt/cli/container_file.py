"""Open a file that is a fragment or a render, told apart by its magic."""

from __future__ import annotations

from pathlib import Path

from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.container import FRAGMENT_MAGIC, RENDER_MAGIC
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.rendered import Render
from latentcrdt.errors import MalformedError


def open_container(path: Path) -> Fragment | Render:
    """Return what a file holds, mapped; structure and lengths are checked, digests are not."""
    data = map_file(path)
    magic = bytes(data[: len(FRAGMENT_MAGIC)])
    if magic == FRAGMENT_MAGIC:
        return Fragment.from_buffer(data, verify=False)
    if magic == RENDER_MAGIC:
        return Render.from_buffer(data)
    raise MalformedError(
        f"{path}: expected a fragment ({FRAGMENT_MAGIC!r}) or a render ({RENDER_MAGIC!r}), "
        f"got a file that starts with {magic!r}"
    )
