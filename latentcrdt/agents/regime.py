"""Regime: how the agents of a run capture what they know: the axes of a matrix of runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from latentcrdt.errors import InvalidRequestError


class Rows(StrEnum):
    """Which rows of an agent's cache become its fragment."""

    ALL = "all"
    """The prompt's and the latent ones."""
    LATENT = "latent"
    """The latent ones alone: at least one latent step."""


@dataclass(frozen=True, slots=True)
class Regime:
    """What every agent of one run has in common."""

    rows: Rows = Rows.ALL
    question_visible: bool = False
    """Whether the agents see the question, or only the final agent does, when it decodes."""
    shared_prefix: bool = False
    """Whether the agents capture behind one common prefix fragment, or each from position 0."""
    num_steps: int = 0
    """Budget: latent steps of each agent."""

    def __post_init__(self) -> None:
        if self.num_steps < 0:
            raise InvalidRequestError(f"num_steps: expected at least 0, got {self.num_steps}")
        if self.rows is Rows.LATENT and self.num_steps == 0:
            raise InvalidRequestError("rows 'latent': expected at least one latent step, got none")

    @property
    def name(self) -> str:
        """The name of this cell in tables and files, such as ``all-hidden-prefix-10``."""
        seen = "visible" if self.question_visible else "hidden"
        placed = "prefix" if self.shared_prefix else "alone"
        return f"{self.rows}-{seen}-{placed}-{self.num_steps}"
