"""Push a file and print by how many bytes the anonymous memory of this process peaked above."""

from __future__ import annotations

import sys
from pathlib import Path

from latentcrdt import Client


def anonymous_bytes() -> int:
    """Memory of our own: the mapped file's pages are the page cache's."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def main(url: str, name: str, path: str) -> None:
    peak = 0

    def note(_done: int, _total: int) -> None:
        nonlocal peak
        peak = max(peak, anonymous_bytes())

    with Client(url) as client:
        client.states()
        before = anonymous_bytes()
        client.push(name, path, on_progress=note)
    sys.stdout.write(str(peak - before))


main(*sys.argv[1:])
