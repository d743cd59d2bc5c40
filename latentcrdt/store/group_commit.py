"""Many small appends, few syncs: who finds no commit under way leads one for all who wait.

No timer: while one batch is being synced, the next one gathers. Alone, an append waits for nothing.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from latentcrdt.errors import LatentCRDTError, StoreFailedError


@dataclass(slots=True)
class _Batch:
    records: list[bytes] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    error: LatentCRDTError | None = field(
        # Until the commit has returned, every way out of it is a failure.
        default_factory=lambda: StoreFailedError("the commit was interrupted")
    )


class GroupCommit:
    """Gathers records into batches, and has each batch committed by one of its own threads."""

    def __init__(self, commit: Callable[[list[bytes]], None]) -> None:
        """``commit`` makes records durable; it is never called by two threads at once."""
        self.turn = threading.Lock()
        """Held during a commit; whoever else holds it keeps commits out."""
        self._commit = commit
        self._lock = threading.Lock()
        self._gathering = _Batch()

    def append(self, record: bytes) -> None:
        """Return once the record is durable; raise what its batch's commit raised."""
        with self._lock:
            batch = self._gathering
            batch.records.append(record)
            leads = len(batch.records) == 1
        if leads:
            self._lead(batch)
        else:
            batch.done.wait()
        if batch.error is not None:
            # A copy each: threads would add their tracebacks to one object.
            raise copy.copy(batch.error) from batch.error

    def _lead(self, batch: _Batch) -> None:
        try:
            with self.turn:
                self._close(batch)
                self._commit(batch.records)
                batch.error = None
        except LatentCRDTError as error:
            batch.error = error
        finally:
            self._close(batch)
            batch.done.set()

    def _close(self, batch: _Batch) -> None:
        with self._lock:
            if self._gathering is batch:
                self._gathering = _Batch()
