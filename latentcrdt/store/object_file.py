"""Read one stored fragment file, trusting its bytes as far as its id proves them.

Three depths: the head alone, the whole mapped, and every byte hashed again. Each raises
CorruptFragmentError when what is found is not what the id names.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

from latentcrdt.core.container import body_offset
from latentcrdt.core.fragment import Fragment, check_body_length
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.errors import CorruptFragmentError, InvalidInputError
from latentcrdt.store.durability import PIECE_BYTES

HEAD_BYTES = 16 << 10
"""Read at a time in search of the header's end: one read for most models."""


def read_header(fd: int, fragment_id: FragmentId) -> FragmentHeader:
    """Return the header of an object whose header has this id and whose size fits it."""
    with _damage(fragment_id):
        size = os.fstat(fd).st_size
        reader = FragmentReader(max_bytes=size, expected_id=fragment_id)
        while reader.header is None:
            _feed(reader, fd, HEAD_BYTES)
        header = reader.header
        check_body_length(header, size - body_offset(len(header.encoded)))
        return header


def map_fragment(fd: int, fragment_id: FragmentId) -> Fragment:
    """Return an object mapped read-only; it stays readable after ``fd`` is closed."""
    header = read_header(fd, fragment_id)
    mapped = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
    return Fragment(header, mapped[body_offset(len(header.encoded)) :])


def verify(fd: int, fragment_id: FragmentId) -> None:
    """Hash every byte again, in pieces, by reading: a bad sector is then an error, not a signal."""
    with _damage(fragment_id):
        reader = FragmentReader(max_bytes=os.fstat(fd).st_size, expected_id=fragment_id)
        while reader.num_bytes < os.fstat(fd).st_size:
            _feed(reader, fd, PIECE_BYTES)
        reader.finish()


def _feed(reader: FragmentReader, fd: int, num_bytes: int) -> None:
    piece = os.pread(fd, num_bytes, reader.num_bytes)
    if not piece:
        reader.finish()
    reader.feed(piece)


@contextmanager
def _damage(fragment_id: FragmentId) -> Iterator[None]:
    try:
        yield
    except InvalidInputError as error:
        raise _corrupt(fragment_id, error) from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise _corrupt(fragment_id, error) from error


def _corrupt(fragment_id: FragmentId, error: Exception) -> CorruptFragmentError:
    return CorruptFragmentError(
        f"fragment {fragment_id}: the stored object is damaged: {error}", id=str(fragment_id)
    )
