"""Read one stored fragment file, trusting its bytes as far as its id proves them.

Three depths: the head alone, the whole mapped, and every byte hashed again. Each raises
CorruptFragmentError when what is found is not what the id names.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from latentcrdt.core.fragment import Fragment, check_body_length
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.errors import CorruptFragmentError, InvalidInputError
from latentcrdt.store.disk import PIECE_BYTES, File

HEAD_BYTES = 16 << 10
"""Read at a time in search of the header's end: one read for most models."""


def read_header(
    file: File, fragment_id: FragmentId, known: FragmentHeader | None = None
) -> FragmentHeader:
    """Return the header of an object whose header has this id and whose size fits it.

    ``known`` is what it was before: equal bytes are not decoded again, which takes longer than all
    else about a small fragment.
    """
    with _damage(fragment_id):
        size = file.size
        if known is not None:
            assert known.fragment_id == fragment_id
            framing = known.framing
            if size == known.file_bytes and file.read(0, len(framing)) == framing:
                return known
        reader = FragmentReader(max_bytes=size, expected_id=fragment_id)
        while reader.header is None:
            _feed(reader, file, HEAD_BYTES)
        header = reader.header
        check_body_length(header, size - header.body_start)
        return header


def map_fragment(
    file: File, fragment_id: FragmentId, known: FragmentHeader | None = None
) -> Fragment:
    """Return an object mapped read-only; it stays readable after ``file`` is closed."""
    header = read_header(file, fragment_id, known)
    return Fragment(header, file.map()[header.body_start :])


def verify(file: File, fragment_id: FragmentId) -> None:
    """Hash every byte again, in pieces, by reading: a bad sector is then an error, not a signal."""
    with _damage(fragment_id):
        reader = FragmentReader(max_bytes=file.size, expected_id=fragment_id)
        while reader.num_bytes < file.size:
            _feed(reader, file, PIECE_BYTES)
        reader.finish()


def _feed(reader: FragmentReader, file: File, num_bytes: int) -> None:
    piece = file.read(reader.num_bytes, num_bytes)
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
