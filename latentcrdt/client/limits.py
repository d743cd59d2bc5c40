"""How much a call may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much memory the other end may make this one take, and how much may go on at once."""

    max_fragment_bytes: int
    max_render_bytes: int
    connections: int
