"""``latentcrdt conformance URL``: does a server keep what the HTTP API promises?"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, error_console, print_json, printable

if TYPE_CHECKING:
    from latentcrdt.testing.conformance import Check, Outcome

UrlArgument = Annotated[
    str, typer.Argument(metavar="URL", help="Address of the server, http://HOST:PORT.")
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Bearer token, if the server needs one; sync is needed for the group replication. "
        "If left out: LATENTCRDT_TOKEN.",
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME",
        help="A check, or a group of checks, to run alone; may be given several times.",
    ),
]


def conformance(
    url: UrlArgument,
    token: TokenOption = None,
    only: OnlyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a server to the promises of the HTTP API; ends with status 1 if any is broken.

    It may be any implementation, and in use: only states of this run, conformance-*, are touched,
    and retracted at the end.
    """
    # hypothesis is an extra: only tests need it.
    try:
        from latentcrdt.testing import conformance as kit  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(
            f"the conformance checks need {error.name}, which is not installed: "
            "pip install 'latentcrdt[testing]'",
            err=True,
        )
        raise typer.Exit(1) from error
    chosen = _choose(kit.checks, only)
    screen = error_console()
    status = screen.status("") if screen.is_terminal else None
    outcomes = []
    with kit.Server(url, token=token) as server, status or nullcontext():
        server.require_answer()
        try:
            for index, check in enumerate(chosen, start=1):
                if status is not None:
                    status.update(f"{index} of {len(chosen)}: {check}")
                outcomes.append(kit.judge(check, server))
                if not as_json:
                    _print(outcomes[-1])
        finally:
            server.clear()
    num_failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json(_document(url, outcomes))
    elif num_failed:
        console().print(f"\n[bold red]{num_failed} of {len(outcomes)} promises are broken.[/]")
    else:
        console().print(f"\n[bold green]All {len(outcomes)} promises are kept.[/]")
    if num_failed:
        raise typer.Exit(1)


def _choose(checks: tuple[Check, ...], only: list[str] | None) -> list[Check]:
    """Return the checks that are named, by themselves or by their group, in their own order."""
    chosen: set[str] = set()
    for name in only or sorted({check.group for check in checks}):
        named = {str(c) for c in checks if name in (c.group, c.name, str(c))}
        if not named:
            groups = ", ".join(dict.fromkeys(check.group for check in checks))
            raise typer.BadParameter(f"no check or group {name!r}; the groups are {groups}")
        chosen |= named
    return [check for check in checks if str(check) in chosen]


def _print(outcome: Outcome) -> None:
    out = console()
    line = Text("passed  " if outcome.passed else "FAILED  ")
    line.stylize("green" if outcome.passed else "bold red")
    line.append(str(outcome.check), style="not bold default")
    out.print(line, soft_wrap=True)
    if outcome.violation is not None:
        details = (outcome.check.promise, outcome.violation, *outcome.notes)
        for detail in (*details, f"section: {outcome.check.section}"):
            out.print(f"        {printable(detail)}", markup=False, soft_wrap=True)


def _document(url: str, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "url": url,
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(not outcome.passed for outcome in outcomes),
        "checks": [
            {
                "check": str(outcome.check),
                "section": outcome.check.section,
                "promise": outcome.check.promise,
                "passed": outcome.passed,
                "violation": outcome.violation,
                "notes": list(outcome.notes),
            }
            for outcome in outcomes
        ],
    }
