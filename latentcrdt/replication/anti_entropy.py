"""Perform an exchange between two replicas in this process: transfers in parallel, bounded."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeAlias

from latentcrdt.core.sync.exchange import (
    Ask,
    Bookmark,
    Copied,
    Copy,
    Exchange,
    Item,
    Round,
    Step,
    exchange,
)
from latentcrdt.core.sync.messages import SALT_BYTES
from latentcrdt.core.sync.peer import Peer
from latentcrdt.errors import LatentCRDTError, StateRetractedError

NUM_TRANSFERS = 4
"""Fragments copied at once: enough to keep hashing, disk and network busy at the same time."""


Progress: TypeAlias = Callable[[int, int], None]
"""Called with the members copied and the members to copy, of one state one way."""


def synchronise(
    here: Peer,
    there: Peer,
    bookmark: Bookmark | None = None,
    *,
    on_progress: Progress | None = None,
) -> Round:
    """Bring two replicas to what either knew when the call began.

    Fragments that cannot be copied are left behind and listed in the round's ``failures``; raises
    the LatentCRDTError that kept the two from talking at all.
    """
    steps = exchange(here, there, bookmark, salt=secrets.token_bytes(SALT_BYTES))
    with ThreadPoolExecutor(NUM_TRANSFERS, thread_name_prefix="transfer") as pool:
        return _perform(steps, pool, on_progress or (lambda _done, _total: None))


def _perform(steps: Exchange[Round], pool: Executor, on_progress: Progress) -> Round:
    try:
        step = next(steps)
        while True:
            try:
                result = _result(step, pool, on_progress)
            except LatentCRDTError as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        done: Round = stop.value
        return done


def _result(step: Step, pool: Executor, on_progress: Progress) -> Any:
    if isinstance(step, Ask):
        return step.question(step.peer)
    copied, total = Copied(), len(step.items)
    on_progress(0, total)
    outcomes = pool.map(lambda item: copy_one(step, item), step.items)
    for done, one in enumerate(outcomes, start=1):
        copied.add(one)
        on_progress(done, total)
    return copied


def copy_one(step: Copy, item: Item) -> Copied:
    """Copy one item; what goes wrong is noted, for the others go on."""
    try:
        num_bytes = step.target.take(*item, step.source)
    except StateRetractedError:
        return Copied()  # the state ended meanwhile, and nothing of it is to be taken
    except LatentCRDTError as error:
        return Copied(failures={item: error})
    return Copied(num_copied=1, num_bytes=num_bytes)
