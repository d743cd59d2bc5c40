"""Medians of alternating runs, and peak memory: how every figure of a benchmark is taken."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from latentcrdt.client.result_memory import result_memory
from latentcrdt.errors import InvalidRequestError

PAGE_BYTES = 4096
"""The smallest page of any system here; larger ones are touched several times."""

Action = Callable[[], object]


def median_seconds(
    actions: Mapping[str, Action], *, runs: int, free_bytes: int = 0
) -> dict[str, float]:
    """Return the median time of each action.

    The actions take turns, so that a machine that slows down slows all of them; a first round is
    not counted. Before each, so much free memory is touched (see `touch_free_memory`).
    """
    if runs < 1:
        raise InvalidRequestError(f"runs: expected at least 1, got {runs}")
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(runs + 1):
        for name, action in actions.items():
            touch_free_memory(free_bytes)
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def touch_free_memory(num_bytes: int) -> None:
    """Have so much free memory at hand, for whoever asks the system next.

    A virtual machine may give free memory back to its host seconds after it was freed, and the
    first touch then costs many times a copy: 0.36 GB/s where later ones clear 10. Who pays that
    would be chance.
    """
    if num_bytes:
        # As a result takes it, in huge pages: memory given back in small ones did not serve those.
        np.frombuffer(result_memory(num_bytes), np.uint8)[::PAGE_BYTES] = 1


def extra_peak_bytes(action: Action) -> int | None:
    """Return by how much an action raises the peak of this process's memory, or None.

    None where the system has no resettable peak (Linux has one, in /proc).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        before = status_bytes("self", "VmRSS")
        action()
        return max(0, status_bytes("self", "VmHWM") - before)
    except OSError:
        return None


def status_bytes(pid: int | str, field: str) -> int:
    """Return a memory figure of a process, as Linux reports it in /proc/<pid>/status."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None, f"no {field} in /proc/{pid}/status"
    return int(found.group(1)) << 10
