"""Write the files of a report, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from latentcrdt.client.atomic_file import replacing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_files(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by name to a directory, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(directory / name) as file:
            file.write(content)


def write_summary(
    directory: Path, summary: DataclassInstance, page: Iterable[str], plots: Mapping[str, bytes]
) -> None:
    """Write a summary as report.json, the lines of its page as report.md, and its plots."""
    document = json.dumps(asdict(summary), indent=1, ensure_ascii=False)
    contents = {"report.json": f"{document}\n", "report.md": "\n".join(page) + "\n"}
    write_files(directory, {n: text.encode() for n, text in contents.items()} | dict(plots))
