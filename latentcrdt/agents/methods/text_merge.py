"""Text merge: the agents hand their texts over, and the final agent prefills them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from latentcrdt.agents.answering import answer_from_texts, utf8_bytes
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.team import Team
from latentcrdt.core.encoding import digest


@dataclass(frozen=True, slots=True)
class TextMerge:
    """The set of the contexts as text, in an order that does not depend on who came first."""

    team: Team
    name: str = "text-merge"

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the order of the texts."""
        texts = ordered_texts(task.contexts)
        facts = {"order": [task.contexts.index(text) for text in texts]}
        return answer_from_texts(self.team, task, texts, bytes_moved=utf8_bytes(texts), facts=facts)


def ordered_texts(texts: Iterable[str]) -> list[str]:
    """Return a set of texts by ascending BLAKE3 of their UTF-8: what a text has for a sort key.

    The render's order would need a model to make keys; whoever merges texts has none at hand.
    """
    return sorted(set(texts), key=lambda text: digest(text.encode()))
