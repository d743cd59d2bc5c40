"""Tell the demo's steps on the screen as they happen, with the time each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from latentcrdt.cli.output import printable


class Narrator:
    """Numbers the steps, times them, and prints what was found under each."""

    def __init__(self, console: Console, on_step: Callable[[], None]) -> None:
        """``on_step`` is called before each step; it may raise to end the story there."""
        self.seconds: dict[str, float] = {}
        """How long each step took, by its title."""
        self._console = console
        self._on_step = on_step
        self._lines: list[Text] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step as running, then as done with its time and its lines."""
        self._on_step()
        number = len(self.seconds) + 1
        self._lines = []
        started = time.perf_counter()
        with self._console.status(title):
            yield
        self.seconds[title] = elapsed = time.perf_counter() - started
        self._console.print(f"[bold]{number}. {title}[/]  [dim]{elapsed:.1f} s[/]")
        for line in self._lines:
            self._console.print(Text("   ") + line, soft_wrap=True)

    def note(self, message: str) -> None:
        """Add a line to the step that is running."""
        self._lines.append(Text(printable(message)))

    def check(self, claim: str, holds: bool) -> None:
        """Add a claim, and whether it holds, to the step that is running."""
        mark = Text("ok   ", style="green") if holds else Text("FAIL ", style="bold red")
        self._lines.append(mark + Text(claim, style=""))
