"""The page about evaluations, beside the commands and names that it mentions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from latentcrdt.agents.regime import Regime
from latentcrdt.cli.app import app
from latentcrdt.evals.manifest import MANIFEST
from latentcrdt.evals.methods import MethodTable
from latentcrdt.evals.run_directory import ANSWERS, RECEIPTS, TIMINGS
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "evals.md").read_text(encoding="utf-8")

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
    assert len(COMMANDS) >= 5


def test_the_table_has_every_method():
    rows = PAGE[PAGE.index("| method |") : PAGE.index("Best and worst order are no methods")]
    named = re.findall(r"`([\w-]+)`", rows)
    methods = MethodTable(make_model("llama"), make_tokenizer())
    known = methods.names([name for name in named if name not in ("bag-01", "bag-10")], 2)
    assert set(known) == set(methods._all(Regime(), 2))


def test_the_files_of_a_run_are_those_that_are_written():
    for name in (MANIFEST, ANSWERS, RECEIPTS, TIMINGS):
        assert f"    {name}" in PAGE


def test_links_lead_to_what_is_there():
    targets = re.findall(r"\]\(([\w./-]+)\)", PAGE)
    assert targets
    for target in targets:
        assert (DOCS / target).is_file(), target
