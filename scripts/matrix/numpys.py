"""The reference engine on other releases of numpy, for this machine."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.matrix.environment import Environment, Missing
from scripts.matrix.installed import numpy_levels
from scripts.matrix.provisions import wheels

RELEASES = ("1.26.4", "2.0.2", "2.2.6")
"""From the oldest that is supported; the newest is the installed one."""


def environments() -> Iterator[Environment]:
    """Yield every release with all its vector code, with less, and with none."""
    for release in RELEASES:
        folder = wheels((f"numpy=={release}",))
        if isinstance(folder, Missing):
            yield Environment(f"numpy {release}", "numpy", missing=folder.reason)
        else:
            yield from numpy_levels(f"numpy {release}", (folder,))
