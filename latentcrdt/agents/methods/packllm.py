"""PackLLM: one copy of the model for each agent, their logits mixed (arXiv 2404.11531).

Each copy goes on from one agent's fragment, so that the same latent steps were taken and the same
number of tokens is decoded as by a merge. How well a copy expects the question says how much its
logits count; the weights are fixed before the first new token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from latentcrdt.agents.answering import Stopwatch, order_facts, text_of
from latentcrdt.agents.method import Answer, Cost, Task
from latentcrdt.agents.team import Team
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf.continuation import Continuation, greedy, stop_ids_of

TAU = 1.0
"""Temperature of the softmax over losses, as published."""

GRID = tuple(i / 20 for i in range(21))
"""Weights that the greedy search tries."""

Weigh = Callable[[Sequence[torch.Tensor], Sequence[int]], list[float]]
"""From each copy's logits ``[T, V]`` at a question's tokens, to the copies' weights."""


@dataclass(frozen=True, slots=True)
class PackLLM:
    """The copies decode together: at every step from one weighted sum of their logits."""

    team: Team
    name: str
    weigh: Weigh

    def answer(self, task: Task) -> Answer:
        """Return the answer, with each copy's loss and weight, copies in canonical order.

        Raises InvalidRequestError for a question of one token, which no copy can be scored on.
        """
        reading = self.team.read(task)
        watch = Stopwatch()
        ordered = reading.canonical()
        copies = [
            Continuation.of_render(reading.render([fragment]), self.team.model)
            for fragment in ordered
        ]
        question = self.team.question_ids(task)
        if len(question) < 2:
            raise InvalidRequestError(
                f"question: expected at least two tokens to score copies by, got {len(question)}"
            )
        logits = [copy.feed(question, keep=len(question)).cpu().double() for copy in copies]
        weights = self.weigh(logits, question)
        first = _mixed([at_question[-1] for at_question in logits], weights)
        cost = Cost(
            context_tokens=sum(copy.num_tokens for copy in copies),
            prefilled_tokens=len(copies) * len(question),
            bytes_moved=reading.num_bytes,
            first_token_s=watch.seconds,
        )
        answer_ids = greedy(
            first,
            lambda token_id: _mixed(
                [copy.feed([token_id])[-1].cpu().double() for copy in copies], weights
            ),
            max_new_tokens=task.max_new_tokens,
            stop_ids=stop_ids_of(self.team.model),
        )
        facts = {
            **order_facts(reading, ordered),
            "losses": [question_loss(at_question, question) for at_question in logits],
            "weights": weights,
        }
        return Answer(text_of(self.team, answer_ids), cost, facts=facts)


def packllm_sim(team: Team) -> PackLLM:
    """Return PackLLM with weights ``softmax(-L / tau)`` of the losses L."""
    return PackLLM(team, "packllm-sim", similarity_weights)


def packllm_opt(team: Team) -> PackLLM:
    """Return PackLLM with weights from the greedy search."""
    return PackLLM(team, "packllm-opt", optimal_weights)


def question_loss(logits: torch.Tensor, question: Sequence[int]) -> float:
    """Return the mean negative log-likelihood, in nats, of a question's tokens but the first.

    ``logits`` ``[T, V]`` are those at the T tokens, each of which predicts the next. The first is
    predicted by what stands before the question, of which a fragment keeps K and V alone.
    """
    expected = torch.tensor(question[1:])
    return float(torch.nn.functional.cross_entropy(logits[:-1], expected))


def similarity_weights(logits: Sequence[torch.Tensor], question: Sequence[int]) -> list[float]:
    """Return PackLLM-sim's weights."""
    losses = torch.tensor([question_loss(copy, question) for copy in logits], dtype=torch.float64)
    weights: list[float] = torch.softmax(-losses / TAU, dim=0).tolist()
    return weights


def optimal_weights(logits: Sequence[torch.Tensor], question: Sequence[int]) -> list[float]:
    """Return PackLLM-opt's weights: copies by ascending loss, each mixed in where it helps.

    Of equally good mixtures the one with the smallest share of what was there already is taken.
    """
    losses = [question_loss(copy, question) for copy in logits]
    best, *others = sorted(range(len(logits)), key=losses.__getitem__)
    mixture, weights = logits[best], [0.0] * len(logits)
    weights[best] = 1.0
    for copy in others:
        share = min(
            GRID,
            key=lambda a: question_loss(a * mixture + (1 - a) * logits[copy], question),
        )
        mixture = share * mixture + (1 - share) * logits[copy]
        weights = [share * weight for weight in weights]
        weights[copy] = 1 - share
    return weights


def _mixed(logits: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted sum of the copies' logits ``[V]``."""
    return torch.stack([w * z for w, z in zip(weights, logits, strict=True)]).sum(dim=0)
