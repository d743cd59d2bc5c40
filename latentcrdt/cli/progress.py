"""A progress bar on stderr, where a person is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich import progress as bars

from latentcrdt.cli.output import error_console

Move: TypeAlias = Callable[[int, int], None]
"""Called with what is done and what there is in all; 0: not known."""


@contextmanager
def progress(label: str) -> Iterator[Move | None]:
    """Give a callback that moves a bar of bytes, or None where stderr is no terminal."""
    with _bar(label, bars.DownloadColumn(), bars.TransferSpeedColumn()) as move:
        yield move


@contextmanager
def counting(label: str) -> Iterator[Move | None]:
    """Give a callback that moves a bar of things, or None where stderr is no terminal."""
    with _bar(label, bars.MofNCompleteColumn()) as move:
        yield move


@contextmanager
def _bar(label: str, *amounts: bars.ProgressColumn) -> Iterator[Move | None]:
    console = error_console()
    if not console.is_terminal:
        yield None
        return
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), *amounts)
    with bars.Progress(
        *columns, bars.TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
