"""A token that is made here opens a server, and is kept nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from latentcrdt_server.grants import Scope
from latentcrdt_server.tokens import Tokens
from typer.testing import CliRunner, Result

from latentcrdt.cli.app import app
from latentcrdt.core.ids import StateName


def new(*args: str) -> Result:
    return CliRunner().invoke(app, ["token", "new", *args])


def test_entries_can_be_appended_as_they_are_printed(tmp_path: Path) -> None:
    made = [
        new("agents", "--state", "task-*", "--state", "shared", "--scope", "sync"),
        new("laptop"),
    ]
    (tmp_path / "tokens").write_text("".join(result.stdout for result in made))
    tokens = Tokens.read(tmp_path / "tokens")
    agents, laptop = (tokens.identify(result.stderr.strip()) for result in made)
    assert agents is not None
    assert agents.principal.name == "agents"
    may = {
        (scope, name)
        for scope in Scope
        for name in ("task-1", "shared", "other")
        if agents.principal.may(scope, StateName(name))
    }
    assert may == {(scope, name) for scope in Scope for name in ("task-1", "shared")}
    assert laptop is not None
    (grant,) = laptop.principal.grants
    assert (grant.states, grant.scopes) == (("*",), {Scope.READ, Scope.ADD})


def test_a_token_is_long_new_each_time_and_not_in_its_entry() -> None:
    made = [new("a") for _ in range(3)]
    tokens = {result.stderr.strip() for result in made}
    assert len(tokens) == 3
    for result in made:
        token = result.stderr.strip()
        assert len(token.removeprefix("latentcrdt_")) * 6 >= 128  # base64: six bits a letter
        assert token not in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["a laptop"], "name"),
        (["a", "--state", "*x"], "states"),
        (["a", "--state", "Task"], "states"),
        (["a", "--scope", "write"], "'read', 'add', 'sync' or"),
    ],
)
def test_an_entry_that_a_server_would_refuse_is_not_made(args: list[str], said: str) -> None:
    result = new(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
