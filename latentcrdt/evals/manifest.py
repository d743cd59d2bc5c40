"""The manifest of a run: what was run, which must be the same when it goes on, and where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentcrdt.client.atomic_file import replacing
from latentcrdt.errors import InvalidRequestError, MalformedError
from latentcrdt.evals.record import to_line

MANIFEST = "manifest.json"

FORMAT = 1
"""Version of a run's layout and lines."""


def begin_run(path: Path, settings: Mapping[str, Any], session: Mapping[str, Any]) -> None:
    """Write the manifest of a new run, or note one more session in that of the same one.

    ``settings`` is everything that the results depend on. Raises InvalidRequestError when the
    directory holds a run of other settings, or something else.
    """
    wanted = json.loads(to_line(settings))  # as it will be read: tuples are lists
    sessions: list[Any] = []
    if (path / MANIFEST).exists():
        found = read_manifest(path)
        sessions = found["sessions"]
        for name in sorted({*wanted, *found["settings"]}):
            was, now = found["settings"].get(name), wanted.get(name)
            if was != now:
                raise InvalidRequestError(
                    f"{path} holds another run: {name} was {was!r:.200} and is now {now!r:.200}",
                    setting=name,
                )
    elif os.listdir(path) not in ([], [".lock"]):  # noqa: PTH208  # names alone are wanted
        raise InvalidRequestError(f"{path}: expected an empty directory or one that holds a run")
    document = {"format": FORMAT, "settings": wanted, "sessions": [*sessions, session]}
    with replacing(path / MANIFEST) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a run. Raises InvalidRequestError where there is none."""
    file = path / MANIFEST
    if not file.is_file():
        raise InvalidRequestError(f"{path}: expected the directory of a run, found no {MANIFEST}")
    try:
        document = json.loads(file.read_bytes())
    except ValueError as error:
        raise MalformedError(f"{file}: expected JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise MalformedError(f"{file}: expected a manifest of format {FORMAT}, got {found!r:.80}")
    return dict(document)
