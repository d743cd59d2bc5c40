"""A progress bar on stderr, where a person is watching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as bars

from latentcrdt.cli.output import error_console
from latentcrdt.client.body import Progress


@contextmanager
def progress(label: str) -> Iterator[Progress | None]:
    """Give a callback that moves a bar of bytes, or None where stderr is no terminal."""
    console = error_console()
    if not console.is_terminal:
        yield None
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
