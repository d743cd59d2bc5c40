"""Text hand-off: each agent writes about what it read, and the final agent reads these notes."""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.agents.answering import answer_from_texts, text_of, utf8_bytes
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.methods.text_merge import ordered_texts
from latentcrdt.agents.team import Team
from latentcrdt.hf.continuation import Continuation, greedy, stop_ids_of

NOTE_TOKENS = 32
"""Tokens that each agent writes at most: a sentence or two."""


@dataclass(frozen=True, slots=True)
class TextHandOff:
    """Notes, written greedily behind each context, in the order of their digests."""

    team: Team
    note_tokens: int = NOTE_TOKENS
    name: str = "hand-off"

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the notes as they were read."""
        notes = ordered_texts(
            self._note([task.preamble, *pieces]) for pieces in self.team.agent_pieces(task)
        )
        facts = {"notes": notes}
        return answer_from_texts(self.team, task, notes, bytes_moved=utf8_bytes(notes), facts=facts)

    def _note(self, pieces: list[str]) -> str:
        agent = Continuation.from_nothing(self.team.model)
        note_ids = greedy(
            agent.feed(self.team.token_ids(pieces))[-1],
            lambda token_id: agent.feed([token_id])[-1],
            max_new_tokens=self.note_tokens,
            stop_ids=stop_ids_of(self.team.model),
        )
        return text_of(self.team, note_ids)
