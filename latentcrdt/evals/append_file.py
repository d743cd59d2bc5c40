"""AppendFile: lines that are only ever added, in a file that may have been cut off anywhere.

A killed process leaves at most one line unfinished, the last. It is dropped when the file is next
opened to be added to; a reader ignores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.client.atomic_file import sync

PIECE_BYTES = 1 << 16


class AppendFile:
    """Adds whole lines to a file. A context manager; lines are on the disk when it ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.truncate(_whole_lines_end(path))

    def add(self, line: bytes) -> None:
        """Add a line, which ends with a newline; it outlives this process when this returns."""
        self._file.write(line)
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            sync(self._file)


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file, without one that was cut off; none without a file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _whole_lines_end(path: Path) -> int:
    """Return the offset behind the last newline, looking at the end of the file only."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - PIECE_BYTES)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
