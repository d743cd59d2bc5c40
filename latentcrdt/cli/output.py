"""What is printed where: answers on stdout, everything about the way there on stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

WIDE = 200
"""Columns when stdout is no terminal: a table in a pipe must not be folded."""


def console() -> Console:
    """Return the console for answers."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=WIDE)


def error_console() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print the one document of a ``--json`` run."""
    print(json.dumps(document, indent=2))  # noqa: T201 - the answer itself, never folded or coloured


def print_error(code: str, message: str) -> None:
    """Print one line: the code, for programs, and the message, for people."""
    line = Text("error ", style="bold red")
    line.append(f"[{code}] ", style="bold")
    line.append(printable(message), style="not bold")
    error_console().print(line, soft_wrap=True)


def printable(text: str) -> str:
    """Return text with control characters spelled out: a server's words reach a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def size(num_bytes: int) -> str:
    """Return a size for people, in powers of ten."""
    return decimal(num_bytes)


def short(digest: Any) -> str:
    """Return the first digits of an id, enough to tell the ids of one table apart."""
    return str(digest)[:12]
