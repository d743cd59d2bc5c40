"""One slice of an answer on its way into a socket: from memory, or by the kernel from its file.

The kernel sends what a file has in the page cache without copying it, which halves a server's
processor time for a long fetch. The reader then copies from memory that no processor has in its
cache: the short slices of a render, which were just made or have just been sent, are better copied.
"""

from __future__ import annotations

import errno
import os
import socket

from latentcrdt.store.mapped_file import open_behind

LEAST_FILE_BYTES = 8 * 2**20
"""From here on a slice is sent from its file, if it lies in one: fetches, and few of renders."""


class Outgoing:
    """What is left of a slice."""

    def __init__(self, slice_: memoryview) -> None:
        self._left = slice_
        self._file = open_behind(slice_) if len(slice_) >= LEAST_FILE_BYTES else None

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left."""
        return not self._left

    def send_to(self, sock: socket.socket) -> int:
        """Send what the socket takes, and return how many bytes; BlockingIOError if it is full."""
        if self._file is None:
            count = sock.send(self._left)
        else:
            descriptor, offset = self._file
            count = os.sendfile(sock.fileno(), descriptor, offset, len(self._left))
            if not count:
                raise OSError(errno.EIO, "a file has become shorter while it was sent")
            self._file = descriptor, offset + count
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
