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
    num_failed = sum(outcome.violation is not None for outcome in outcomes)
    num_skipped = sum(outcome.skipped is not None for outcome in outcomes)
    if as_json:
        print_json(_document(url, outcomes))
    elif num_failed:
        console().print(f"\n[bold red]{num_failed} of {len(outcomes)} promises are broken.[/]")
    else:
        skipped = f" {num_skipped} are not made." if num_skipped else ""
        num_kept = len(outcomes) - num_skipped
        console().print(f"\n[bold green]All {num_kept} promises are kept.[/]{skipped}")
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
    if outcome.skipped is not None:
        line = Text("skipped ", style="yellow")
    elif outcome.passed:
        line = Text("passed  ", style="green")
    else:
        line = Text("FAILED  ", style="bold red")
    line.append(str(outcome.check), style="not bold default")
    if outcome.skipped is not None:
        line.append(f": {outcome.skipped}", style="not bold default")
    out.print(line, soft_wrap=True)
    if outcome.violation is not None:
        details = (outcome.check.promise, outcome.violation, *outcome.notes)
        for detail in (*details, f"section: {outcome.check.section}"):
            out.print(f"        {printable(detail)}", markup=False, soft_wrap=True)


def _document(url: str, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "url": url,
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(outcome.violation is not None for outcome in outcomes),
        "skipped": sum(outcome.skipped is not None for outcome in outcomes),
        "checks": [
            {
                "check": str(outcome.check),
                "section": outcome.check.section,
                "promise": outcome.check.promise,
                "passed": outcome.passed,
                "violation": outcome.violation,
                "skipped": outcome.skipped,
                "notes": list(outcome.notes),
            }
            for outcome in outcomes
        ],
    }
