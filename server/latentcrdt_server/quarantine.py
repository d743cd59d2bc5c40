"""How much a directory store has set aside as damaged, until a person takes it away."""

from __future__ import annotations

from pathlib import Path


def num_quarantined(data_dir: Path) -> int:
    """Return the number of files in quarantine; none where there is no directory store."""
    try:
        return sum(1 for _ in (data_dir / "quarantine").iterdir())
    except FileNotFoundError:
        return 0
