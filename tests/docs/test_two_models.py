"""The page about two models, beside the commands, names and figures that it mentions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from latentcrdt.cli.app import app
from latentcrdt.merging.models.blend import OPERATORS, RIDGE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "two-models.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(latentcrdt eval .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one_that_the_command_line_takes(line):
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        command, words = subcommands[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_there_are_commands_to_look_at():
    assert len(COMMANDS) >= 2


def test_every_operator_is_named():
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == set(OPERATORS)
    assert f"lambda = {RIDGE:g}" in PAGE


def test_links_and_plots_lead_to_what_is_there():
    targets = re.findall(r"\]\(([\w./-]+)\)", PAGE)
    assert targets
    for target in targets:
        assert (DOCS / target).exists(), target
