"""A process that is to be struck: forked with everything imported, it waits until it is traced.

Only what it does after the word ``go`` is traced, so that the n-th system call is the n-th of the
store and none of Python's start.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from scripts.durability.simulated import FRAGMENTS, IDS, NAMES

PATIENCE_S = 60.0
"""For a process that neither answers nor ends: the trial is then an error."""

_PR_SET_PTRACER, _ANY = 0x59616D61, -1

_forks = get_context("forkserver")
_forks.set_forkserver_preload([__name__])


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that has not begun, or has ended."""

    process: BaseProcess
    answers: Connection

    @property
    def pid(self) -> int:
        """Its one thread, too."""
        assert self.process.pid is not None
        return self.process.pid

    def go(self) -> None:
        """Let it begin."""
        self.answers.send("go")

    def answered(self) -> list[tuple[str, FragmentId | None]]:
        """Return its answers until it ended: ``ok`` or a code, and the fragment asked for."""
        answers = []
        try:
            while self.answers.poll(PATIENCE_S):
                answers.append(self.answers.recv())
        except (EOFError, ConnectionResetError):
            self.process.join(PATIENCE_S)
            return answers
        raise TimeoutError(f"process {self.pid} neither answers nor ends")


@contextmanager
def victim(action: str, root: Path) -> Iterator[Victim]:
    """Start a process that will ``open`` the store, or has it open and will ``push``."""
    ours, theirs = _forks.Pipe()
    process = _forks.Process(target=_be, args=(action, str(root), theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(PATIENCE_S)
        assert ours.recv() == "ready"
        yield Victim(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _be(action: str, root: str, parent: Connection) -> None:
    logging.disable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY)
    store = DirectoryStore(root) if action == "push" else None
    parent.send("ready")
    parent.recv()
    if store is None:
        try:
            DirectoryStore(root)
        except LatentCRDTError as error:
            _answer(parent, error.code)
        else:
            _answer(parent, "ok")
        os._exit(0)
    replica = Replica(store)
    for fragment_id in IDS:
        try:
            replica.push(NAMES[0], FRAGMENTS[fragment_id])
        except LatentCRDTError as error:
            _answer(parent, error.code, fragment_id)
        else:
            _answer(parent, "ok", fragment_id)
    os._exit(0)


def _answer(parent: Connection, code: str, fragment_id: FragmentId | None = None) -> None:
    try:
        parent.send((code, fragment_id))
    except OSError:
        os._exit(0)  # the fault struck the answer itself
