"""The methods of a run: by name, sharing what they capture and what no regime changes."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.agents.method import Answer, Method, Task
from latentcrdt.agents.methods import build_methods
from latentcrdt.agents.regime import Regime
from latentcrdt.agents.team import Captured, Team, fragment_memory
from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.runner import Cell

GROUPS = {"bag": "bag-"}
"""Names that stand for all methods whose names begin so."""

WITHOUT_AGENTS = ("single", "text-merge", "no-cache")
"""Methods that hand texts over, or nothing: their answers are the same in every regime."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A method that answers each task once, whatever regime asks."""

    method: Method
    answers: dict[tuple[str, Task], Answer]

    @property
    def name(self) -> str:
        """The method's own name."""
        return self.method.name

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the cost that it had when it was made."""
        key = (self.name, task)
        if key not in self.answers:
            self.answers[key] = self.method.answer(task)
        return self.answers[key]


@dataclass(frozen=True, slots=True)
class MethodTable:
    """Makes the methods of a cell with one model. The methods of all cells share captures."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    _memory: MutableMapping[Captured, Fragment] = field(default_factory=fragment_memory)
    _answers: dict[tuple[str, Task], Answer] = field(default_factory=dict)

    def names(self, wanted: Sequence[str], num_agents: int) -> tuple[str, ...]:
        """Return the methods that names and groups stand for, each once, in the order wanted.

        Raises InvalidRequestError for a name that is neither.
        """
        known = self._all(Regime(), num_agents)
        chosen: dict[str, None] = {}
        for name in wanted:
            prefix = GROUPS.get(name)
            found = [k for k in known if k == name or (prefix and k.startswith(prefix))]
            if not found:
                raise InvalidRequestError(
                    f"method: expected one of {[*GROUPS, *known]}, got {name!r:.80}"
                )
            chosen |= dict.fromkeys(found)
        return tuple(chosen)

    def of_cell(self, cell: Cell) -> list[Method]:
        """Return the methods of a cell, in its order."""
        known = self._all(cell.regime, cell.num_agents)
        return [known[name] for name in cell.methods]

    def _all(self, regime: Regime, num_agents: int) -> dict[str, Method]:
        team = Team(self.model, self.tokenizer, regime, self._memory)
        methods = build_methods(team, num_agents)
        for name in WITHOUT_AGENTS:
            methods[name] = Remembered(methods[name], self._answers)
        return methods
