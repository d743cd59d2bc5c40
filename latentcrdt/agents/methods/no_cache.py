"""No cache: the question alone, which shows what a model answers without having read anything."""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.agents.answering import answer_from_texts
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.team import Team


@dataclass(frozen=True, slots=True)
class NoCache:
    """Preamble and question: the floor that every other method has to leave behind."""

    team: Team
    name: str = "no-cache"

    def answer(self, task: Task) -> Answer:
        """Return what is as good as a guess."""
        return answer_from_texts(self.team, task, [], bytes_moved=0)
