"""What the kernel says of a server, and what it says itself."""

from __future__ import annotations

from pathlib import Path

QUANTITIES = ("in_use_bytes", "anonymous_bytes", "open_fds")
"""Those that are judged: what grows without bound if something is never let go; the same with what
lies idle between; and files."""


def sample(pid: int, data_dir: Path) -> dict[str, float] | None:
    """Return the memory that is in use, the memory that no file backs, and the open files.

    None before the server has said what is in use for the first time.
    """
    try:
        in_use = int(data_dir.with_suffix(".in-use").read_text())
    except FileNotFoundError:
        return None
    folder = Path(f"/proc/{pid}")
    lines = dict(x.split(":", 1) for x in (folder / "status").read_text().splitlines())
    return {
        "in_use_bytes": in_use,
        "anonymous_bytes": int(lines["RssAnon"].split()[0]) * 1024,
        "open_fds": len(list((folder / "fd").iterdir())),
    }
