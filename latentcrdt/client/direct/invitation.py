"""Whether a body is wanted: ``Expect: 100-continue``, asked in a head and heard before the body.

A server that holds the fragment, or refuses it, answers at once, and no byte of the body is sent.
One that wants it says 100. One that says nothing (RFC 9110 allows it, and old proxies do it) is
waited for no longer than ``PATIENCE_S``.
"""

from __future__ import annotations

import selectors
import time
from enum import Enum, auto
from socket import MSG_PEEK, socket

PATIENCE_S = 1.0
"""How long to wait for a word, as curl does: a server looks up one id in that time."""

INVITATION = b"HTTP/1.1 100"

MAX_INTERIM_BYTES = 16 * 2**10
"""A longer head invites nobody: it is read as an answer, and refused there."""

PART_S = 0.001
"""Between two looks at an interim answer of which only a part has come."""


class Word(Enum):
    """What a server said to a head whose body waits."""

    INVITED = auto()
    """It wants the body; what it said was taken off the connection."""
    ANSWERED = auto()
    """It said something else, or left: there is an answer to be read, or the end."""
    SILENT = auto()
    """Nothing, or not a whole sentence, in the time it was given."""


def hear(sock: socket, patience_s: float = PATIENCE_S) -> Word:
    """Return what a server says, taking nothing but an invitation off a plain connection."""
    deadline = time.monotonic() + patience_s
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        while True:
            left_s = deadline - time.monotonic()
            if left_s < 0 or not selector.select(left_s):
                return Word.SILENT
            seen = sock.recv(MAX_INTERIM_BYTES, MSG_PEEK)
            if not seen or seen[: len(INVITATION)] != INVITATION[: len(seen)]:
                return Word.ANSWERED
            stop = seen.find(b"\r\n\r\n")
            if stop >= 0:
                sock.recv(stop + 4)
                return Word.INVITED
            if len(seen) == MAX_INTERIM_BYTES:
                return Word.ANSWERED
            time.sleep(PART_S)
