"""Single agent: one agent that reads everything itself, by one dense prefill."""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.agents.answering import answer_from_texts, utf8_bytes
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.team import Team


@dataclass(frozen=True, slots=True)
class SingleAgent:
    """Preamble, all contexts in the task's order and the question, prefilled together."""

    team: Team
    name: str = "single"

    def answer(self, task: Task) -> Answer:
        """Return the answer that needs no hand-over."""
        bytes_moved = utf8_bytes(task.contexts)
        return answer_from_texts(self.team, task, task.contexts, bytes_moved=bytes_moved)
