"""Options that the benchmarks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer


def words(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str) -> list[int]:
    """Return the numbers of a list with commas."""
    try:
        return [int(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"expected numbers with commas between, got {text!r}") from error


def decimals(text: str) -> list[float]:
    """Return the decimal numbers of a list with commas."""
    try:
        return [float(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"expected numbers with commas between, got {text!r}") from error


ModelOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|FOLDER",
        help="`reference`, `reference-early`, `smollm2`, `gemma3`, or a transformers folder.",
    ),
]

OutOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        file_okay=False,
        help="Directory of the run. The same command again goes on where it was stopped.",
    ),
]

AgentsOption: TypeAlias = Annotated[
    str,
    typer.Option("--k", metavar="LIST", help="Numbers of agents, as `2,3,4,5`."),
]

RegimesOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--regimes",
        metavar="LIST",
        help="Such as `all-hidden-alone`; words left out stand for both; `every` for all of them.",
    ),
]

BudgetsOption: TypeAlias = Annotated[
    str,
    typer.Option("--budgets", metavar="LIST", help="Latent steps of each agent."),
]

MethodsOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="LIST",
        help="Names of methods; `bag` stands for BagMerge in every order.",
    ),
]
