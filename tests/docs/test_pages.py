"""What every page names is there: links, files in code marks, commands and their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from latentcrdt.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
NUM_COMMANDS, NUM_LINKS, NUM_FILES = 35, 65, 95
"""At least so many: the patterns below must not come to match nothing."""


def found(pattern):
    """What the pages hold of a pattern, each once for every page."""
    return [
        (page, match)
        for page in PAGES
        for match in sorted(
            set(re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE))
        )
    ]


LINKS = found(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")
FILES = found(r"`((?:docker|latentcrdt|scripts|server|tests)/[\w./-]+)(?:::\w+)?`")
COMMANDS = [
    (page, line)
    for page, line in found(r"^(?: {4}|\.venv/bin/)?(latentcrdt [a-z].*)$")
    if "|" not in line and "[--" not in line  # a grammar
]


def named(cases):
    return pytest.mark.parametrize(
        ("page", "name"), cases, ids=[f"{page.stem}: {name[:60]}" for page, name in cases]
    )


@named(LINKS)
def test_a_link_leads_to_what_is_there(page, name):
    assert (page.parent / name).exists()


@named(FILES)
def test_a_file_that_is_named_is_there(page, name):
    assert (ROOT / name).exists()


@named(COMMANDS)
def test_a_command_is_one_that_the_command_line_takes(page, name):
    words = shlex.split(name.partition(">>")[0], comments=True)[1:]
    command = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        command, words = subcommands[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_there_is_enough_to_look_at():
    assert len(COMMANDS) >= NUM_COMMANDS
    assert len(LINKS) >= NUM_LINKS
    assert len(FILES) >= NUM_FILES
