"""NetworkNamespace: a network stack of its own, which lives no longer than this process.

It has no name and no file: one descriptor keeps it, with its links, addresses and rules, and the
kernel removes them all when that is closed and the last process inside has ended, also when this
process is killed. So there are no remains to look for, and nothing outside is ever changed.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
"""From linux/sched.h."""

OWN = "/proc/thread-self/ns/net"
"""The network stack of the thread that opens it."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """An empty network stack, loopback included but down; to be closed."""

    def __init__(self) -> None:
        """Make it; raises OSError if that is not allowed here."""
        # A stack belongs to a thread, and this one ends at once: ours stays where it is.
        with ThreadPoolExecutor(1) as thread:
            self._descriptor = thread.submit(_leave_for_a_new_one).result()

    @property
    def path(self) -> str:
        """Where other processes find it, for `nsenter` and `ip`."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def command(self) -> tuple[str, ...]:
        """What starts a program inside, and ends it with this process (the thread that starts it).

        A server that outlived a killed run would keep its network stack for ever.
        """
        within = ("nsenter", f"--net={self.path}", "--")
        return (*within, "setpriv", "--pdeathsig", "SIGKILL", "--")

    def run(self, *program: str, lines: Iterable[str] = ()) -> str:
        """Run a program inside, with lines as its input; return its output.

        Raises OSError, with what it wrote to stderr, if it fails.
        """
        done = subprocess.run(  # noqa: S603  # fixed commands
            [*self.command, *program],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"{' '.join(program)}: {' '.join(done.stderr.split())}")
        return done.stdout

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread be inside: sockets that it makes there stay there.

        Threads that it starts meanwhile begin inside too.
        """
        outside = os.open(OWN, os.O_RDONLY)
        try:
            _check(_LIBC.setns(self._descriptor, CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_LIBC.setns(outside, CLONE_NEWNET))
        finally:
            os.close(outside)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def _leave_for_a_new_one() -> int:
    """Move this thread to a new network stack; return a descriptor of it."""
    _check(_LIBC.unshare(CLONE_NEWNET))
    return os.open(OWN, os.O_RDONLY)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"network namespaces: {os.strerror(number)}")
