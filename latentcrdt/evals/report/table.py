"""Tables of Markdown, and how figures are spelled in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from latentcrdt.evals.statistics import Difference, Interval


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; a bar within a cell is escaped."""
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def plain(value: object) -> str:
    """Return a JSON-able value in words."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {plain(member)}" for name, member in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}"


def accuracy(share: float, interval: Interval) -> str:
    """Return a share with its interval, in percent."""
    return f"{percent(share)} [{percent(interval.low)}, {percent(interval.high)}]"


def points(difference: Difference) -> str:
    """Return a difference of shares with its interval, in points."""
    mean, (low, high) = difference
    return f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
