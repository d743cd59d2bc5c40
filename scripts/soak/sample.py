"""What the kernel says of a process."""

from __future__ import annotations

from pathlib import Path

QUANTITIES = ("anonymous_bytes", "open_fds")
"""Those that are judged."""


def sample(pid: int) -> dict[str, float]:
    """Return the memory of a process that no file backs, all of it that is resident, open files."""
    folder = Path(f"/proc/{pid}")
    lines = dict(x.split(":", 1) for x in (folder / "status").read_text().splitlines())
    return {
        "anonymous_bytes": int(lines["RssAnon"].split()[0]) * 1024,
        "resident_bytes": int(lines["VmRSS"].split()[0]) * 1024,
        "open_fds": len(list((folder / "fd").iterdir())),
    }
