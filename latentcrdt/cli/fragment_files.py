"""The fragments that a receipt names: found in a folder, or fetched into one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from latentcrdt.client import Client
from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.container import FRAGMENT_MAGIC
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import InvalidInputError


def find_fragments(folder: Path, wanted: Collection[FragmentId]) -> dict[FragmentId, Fragment]:
    """Return those of the wanted fragments that lie in a folder, whatever their files are called.

    Each is verified; DigestMismatchError names the section of a damaged one. Other files, and
    fragments that nobody asked for, are passed over.
    """
    found: dict[FragmentId, Fragment] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        data = map_file(path)
        if bytes(data[: len(FRAGMENT_MAGIC)]) != FRAGMENT_MAGIC:
            continue
        with suppress(InvalidInputError):  # a file that was cut short, say, is no wanted one
            fragment = Fragment.from_buffer(data, verify=False)
            if fragment.fragment_id in wanted:
                found.setdefault(fragment.fragment_id, fragment)
    for fragment in found.values():
        fragment.verify()
    return found


def fetch_fragments(
    client: Client, folder: Path, wanted: Collection[FragmentId]
) -> dict[FragmentId, Fragment]:
    """Fetch the wanted fragments into a folder, verified on the way, and return them mapped."""
    fetched: dict[FragmentId, Fragment] = {}
    for fragment_id in wanted:
        path = folder / str(fragment_id)
        client.fetch_to(fragment_id, path)
        fetched[fragment_id] = Fragment.from_buffer(map_file(path), verify=False)
    return fetched
