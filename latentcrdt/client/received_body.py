"""Where the body of a fragment that is fetched is put: into memory, or into a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO, Protocol

from latentcrdt.client.intake import NO_ROOM
from latentcrdt.client.result_memory import result_memory
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.sections_reader import SectionsReader


class Body(Protocol):
    """Where a fragment's body is put; parts of it may come in any order, from several threads."""

    def begin(self, header: FragmentHeader) -> None:
        """Make room. May be called again, for the same fragment, when an attempt starts afresh."""

    def room(self, start: int, stop: int) -> memoryview:
        """Return memory where these bytes of the body may be put, or ``NO_ROOM``."""

    def put(self, offset: int, data: memoryview) -> None:
        """Put bytes where they belong, unless they lie there already.

        They have been hashed, but that of a section is known to be right only at its end.
        """


class MemoryBody:
    """Keeps some consecutive bytes of a body in memory, taken once the header is known."""

    def __init__(self, claim: Callable[[int], None] = lambda _: None) -> None:
        """``claim`` is asked before memory is taken for a file of this size, and may raise."""
        self._claim = claim
        self._base = 0
        self._memory = memoryview(b"")

    @classmethod
    def of(cls, sections: SectionsReader) -> MemoryBody:
        """Return memory for what these sections are going to read."""
        body = cls()
        body._base = sections.offset
        body._memory = result_memory(sections.stop - sections.offset)
        return body

    @property
    def bytes(self) -> memoryview:
        """What was put, to be read only."""
        return self._memory.toreadonly()

    def begin(self, header: FragmentHeader) -> None:
        """Take memory for the whole body, once."""
        if not self._memory.nbytes:
            self._claim(header.file_bytes)
            self._memory = result_memory(header.body_bytes)

    def room(self, start: int, stop: int) -> memoryview:
        """Return the very memory."""
        return self._memory[start - self._base : stop - self._base]

    def put(self, offset: int, data: memoryview) -> None:
        """Copy what was not read into the room that was given."""
        if not is_within(data, self._memory):
            self._memory[offset - self._base :][: len(data)] = data


class FileBody:
    """Writes a whole fragment file; holds none of its body."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0
        self._lock = threading.Lock()

    def begin(self, header: FragmentHeader) -> None:
        """Write what stands before the body."""
        # An attempt that starts again must not leave the one before it behind.
        self._file.seek(0)
        self._file.truncate()
        self._offset = self._file.write(header.framing)

    def room(self, _start: int, _stop: int) -> memoryview:
        """Return nothing: the bytes stay nowhere in memory."""
        return NO_ROOM

    def put(self, offset: int, data: memoryview) -> None:
        """Write the bytes where they belong."""
        with self._lock:
            self._file.seek(self._offset + offset)
            self._file.write(data)


def is_within(data: Buffer, body: memoryview) -> bool:
    """Return whether bytes are where they belong already: read into the room that was given."""
    return isinstance(data, memoryview) and data.obj is body.obj
