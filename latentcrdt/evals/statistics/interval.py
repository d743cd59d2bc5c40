"""Interval: what a statistic may be, at a stated confidence."""

from __future__ import annotations

from typing import NamedTuple

LEVEL = 0.95
"""Confidence of every interval of a report."""


class Interval(NamedTuple):
    """A closed interval."""

    low: float
    high: float
