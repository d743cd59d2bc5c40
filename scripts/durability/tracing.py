"""Faults at system calls, by strace: count the calls of an action, then strike at each of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt.core.ids import FragmentId
from scripts.durability.victim import Victim

STRACE = shutil.which("strace")

MISSING = "" if STRACE else "no strace (apt-get install strace); tests/store/test_kill.py does less"

STRIDE_ABOVE = 40
"""Of a call made more often than this (256 shards are made, and listed), so many are struck."""

_STRUCK = re.compile(r"\(INJECTED\)|killed by SIGKILL")

_CALL = re.compile(r"^(\w+)\(", re.MULTILINE)


@contextmanager
def traced(victim: Victim, *options: str) -> Iterator[None]:
    """Trace a waiting process; it is ready to go when the block begins."""
    assert STRACE is not None
    command = [STRACE, "-p", str(victim.pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        try:
            assert strace.stderr is not None
            said = strace.stderr.readline()
            if "attached" not in said:
                raise PermissionError(f"strace: {said}")
            yield
        finally:
            strace.terminate()


def count_calls(victim: Victim, record: Path) -> Counter[str]:
    """Return how often each system call is made by a process from now to its end."""
    with traced(victim, "-o", str(record)):
        victim.go()
        victim.answered()
    calls = Counter(_CALL.findall(record.read_text(encoding="utf-8", errors="replace")))
    # Waiting for the word, and ending: not the store's.
    return calls - Counter(read=2, exit_group=1)


def points(num_calls: int) -> list[int]:
    """Return which of a number of calls are struck, from 1: all, or evenly spread ones."""
    if num_calls <= STRIDE_ABOVE:
        return list(range(1, num_calls + 1))
    return sorted({1 + i * (num_calls - 1) // (STRIDE_ABOVE - 1) for i in range(STRIDE_ABOVE)})


def strike(
    victim: Victim, call: str, number: int, effect: str, record: Path
) -> list[tuple[str, FragmentId | None]]:
    """Let a process go, with an effect at its n-th call; return its answers.

    ``effect`` is strace's: ``signal=...`` or ``error=...``. Raises LookupError if it never came.
    """
    injection = f"inject={call}:{effect}:when={number}"
    with traced(victim, "-o", str(record), "-e", f"trace={call}", "-e", injection):
        victim.go()
        answers = victim.answered()
    if not _STRUCK.search(record.read_text(encoding="utf-8", errors="replace")):
        raise LookupError(f"the process made no call {number} of {call}")
    return answers
