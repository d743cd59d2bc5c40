"""A directory of fragments that were fetched before, shared by the processes of one machine.

Rule: a name is a promise about content, so nothing here can be stale, only damaged: what is read is
hashed, and what does not match is thrown away. No locks: a file appears whole under its id or not
at all, and one that is removed while somebody has it mapped stays with them.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from latentcrdt.client.atomic_file import replacing
from latentcrdt.client.mapped_file import map_file
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import InvalidInputError

DEFAULT_MAX_BYTES = 8 * 2**30
"""Room for a few hundred fragments of a small model, or a few dozen of a large one."""

DRAFT_LIFETIME_S = 24 * 3600.0
"""A file half-written for this long belongs to a process that is no more."""


class FragmentCache:
    """Fragments on disk, up to a number of bytes; the ones not used for longest go first."""

    def __init__(
        self, directory: Path | str | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        """``directory``: made if it is missing; None: the user's cache directory."""
        if directory is None:
            directory = platformdirs.user_cache_path("latentcrdt") / "fragments"
        self._directory = Path(directory)
        self._max_bytes = max_bytes

    def get(self, fragment_id: FragmentId) -> Fragment | None:
        """Return a fragment, mapped and verified; None if it is not here, or no longer whole."""
        path = self._path(fragment_id)
        try:
            fragment = Fragment.from_buffer(map_file(path))
            if fragment.fragment_id == fragment_id:
                os.utime(path)
                return fragment
        except FileNotFoundError:
            return None
        except InvalidInputError:
            pass  # damaged since it was written
        path.unlink(missing_ok=True)
        return None

    def put(self, fragment: Fragment) -> None:
        """Keep a verified fragment, and make room; one larger than all the room is not kept."""
        path = self._path(fragment.fragment_id)
        if fragment.num_bytes > self._max_bytes or path.exists():
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(fragment.framing)
            file.write(fragment.body)
        self._make_room()

    def _make_room(self) -> None:
        files = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # somebody else makes room, too
                    found = entry.stat()
                    if not entry.name.startswith("."):
                        files.append((found.st_mtime, found.st_size, entry.path))
                    elif found.st_mtime < time.time() - DRAFT_LIFETIME_S:
                        Path(entry.path).unlink()
        num_bytes = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if num_bytes <= self._max_bytes:
                return
            Path(path).unlink(missing_ok=True)
            num_bytes -= size

    def _path(self, fragment_id: FragmentId) -> Path:
        return self._directory / str(fragment_id)
