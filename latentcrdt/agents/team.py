"""Team: the agents of a run, and the tokens and fragments that they make of a task."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import TypeAlias

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.agents.method import Task
from latentcrdt.agents.reading import Reading
from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.agents.think import think
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.tokens import token_ids_of
from latentcrdt.replication.bounded_cache import BoundedCache

MEMORY_BYTES = 1 << 30
"""Fragments that a team remembers, in bytes, unless it is given another memory."""

Captured: TypeAlias = tuple[str, FragmentId | None, tuple[int, ...], int, Rows]
"""What a fragment is of: model id, prefix, tokens, latent steps, rows kept."""


def fragment_memory(max_bytes: int = MEMORY_BYTES) -> MutableMapping[Captured, Fragment]:
    """Return a memory that forgets the fragments longest unused; teams may share one."""
    return BoundedCache(max_bytes, weigh=lambda fragment: fragment.num_bytes)


@dataclass(frozen=True, slots=True)
class Team:
    """Agents of one model that read under one regime; every method of a run shares the team.

    Texts are tokenised piece by piece (preamble, each context, question), so that every method,
    whether it hands over caches or texts, puts the same tokens before the model.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    regime: Regime = field(default_factory=Regime)
    memory: MutableMapping[Captured, Fragment] = field(default_factory=fragment_memory)

    def read(self, task: Task) -> Reading:
        """Return what each agent captured of its context; what is remembered is not read again.

        Raises InvalidRequestError for a shared prefix without a preamble, or no contexts.
        """
        regime = self.regime
        if not task.contexts:
            raise InvalidRequestError("task: expected at least one context, got none")
        if regime.shared_prefix and not task.preamble:
            raise InvalidRequestError("preamble: expected one, to be the shared prefix; got none")
        before = [task.preamble]
        prefix = None
        if regime.shared_prefix:
            prefix, before = self._captured(self.token_ids(before), 0, Rows.ALL), []
        fragments = [
            self._captured(
                self.token_ids([*before, *pieces], begins=prefix is None),
                regime.num_steps,
                regime.rows,
                prefix,
            )
            for pieces in self.agent_pieces(task)
        ]
        return Reading(() if prefix is None else (prefix,), tuple(fragments))

    def agent_pieces(self, task: Task) -> list[list[str]]:
        """Return what each agent reads behind the preamble.

        A question that the agents see stands behind their context: their latent steps begin where
        an answer would.
        """
        asked = [task.question] if self.regime.question_visible else []
        return [[context, *asked] for context in task.contexts]

    def token_ids(self, pieces: Iterable[str], *, begins: bool = True) -> list[int]:
        """Return the tokens of texts one after another; ``begins`` as in `token_ids_of`."""
        token_ids: list[int] = []
        for piece in filter(None, pieces):
            first = begins and not token_ids
            token_ids += token_ids_of(self.model, self.tokenizer, piece, begins=first)
        return token_ids

    def question_ids(self, task: Task) -> list[int]:
        """Return the tokens that the final agent appends to a cache."""
        return token_ids_of(self.model, self.tokenizer, task.question, begins=False)

    def _captured(
        self, token_ids: list[int], num_steps: int, rows: Rows, prefix: Fragment | None = None
    ) -> Fragment:
        behind = None if prefix is None else prefix.fragment_id
        model_id = ModelContract.of(self.model).geometry.model_id
        name = (model_id, behind, tuple(token_ids), num_steps, rows)
        fragment = self.memory.get(name)
        if fragment is None:
            fragment = think(
                self.model, None, token_ids, num_steps=num_steps, prefix=prefix, rows=rows
            )
            self.memory[name] = fragment
        return fragment
