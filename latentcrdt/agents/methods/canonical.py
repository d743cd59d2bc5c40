"""CanonicalMerge: the set of the agents' fragments, rendered in canonical order."""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.agents.answering import answer_from_render
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.team import Team


@dataclass(frozen=True, slots=True)
class CanonicalMerge:
    """The final agent decodes from the one render that all orders of arrival lead to."""

    team: Team
    name: str = "canonical"

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the receipt and the order that it came to."""
        return answer_from_render(self.team, task, self.team.read(task), order=None)
