"""Medians of alternating runs, and peak memory: how every figure of a benchmark is taken."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from latentcrdt.errors import InvalidRequestError

Action = Callable[[], object]


def median_seconds(actions: Mapping[str, Action], *, runs: int) -> dict[str, float]:
    """Return the median time of each action.

    The actions take turns, so that a machine that slows down slows all of them; a first round is
    not counted.
    """
    if runs < 1:
        raise InvalidRequestError(f"runs: expected at least 1, got {runs}")
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(runs + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


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
