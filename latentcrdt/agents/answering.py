"""From what the final agent was handed to its answer: the same steps for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from latentcrdt.agents.method import Answer, Cost, Task
from latentcrdt.agents.reading import Reading
from latentcrdt.agents.team import Team
from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf.continuation import Continuation, greedy, stop_ids_of


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Counts from when the final agent has received everything."""

    started: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return perf_counter() - self.started


def complete(
    team: Team,
    task: Task,
    continuation: Continuation,
    token_ids: Sequence[int],
    *,
    watch: Stopwatch,
    bytes_moved: int,
) -> tuple[str, Cost]:
    """Feed the last tokens to what was handed over, and decode the answer greedily.

    Free decoding also where a task has choices: so every method is asked for the same.
    """
    if not token_ids:
        raise InvalidRequestError("question: expected at least one token, got none")
    logits = continuation.feed(token_ids)[-1].cpu()  # off the device: the clock waits for it
    cost = Cost(continuation.num_tokens, len(token_ids), bytes_moved, watch.seconds)
    answer_ids = greedy(
        logits,
        lambda token_id: continuation.feed([token_id])[-1],
        max_new_tokens=task.max_new_tokens,
        stop_ids=stop_ids_of(team.model),
    )
    return text_of(team, answer_ids), cost


def answer_from_texts(
    team: Team,
    task: Task,
    texts: Sequence[str],
    *,
    bytes_moved: int,
    facts: Mapping[str, object] | None = None,
) -> Answer:
    """Return the answer from the preamble, texts and the question, prefilled as one sequence."""
    watch = Stopwatch()
    token_ids = team.token_ids([task.preamble, *texts, task.question])
    continuation = Continuation.from_nothing(team.model)
    text, cost = complete(team, task, continuation, token_ids, watch=watch, bytes_moved=bytes_moved)
    return Answer(text, cost, facts=facts or {})


def answer_from_render(
    team: Team, task: Task, reading: Reading, order: Sequence[int] | None
) -> Answer:
    """Return the answer from a render of the agents' fragments; ``order`` None is canonical."""
    watch = Stopwatch()
    ordered = reading.canonical() if order is None else reading.in_order(order)
    rendered = reading.render(ordered)
    text, cost = complete(
        team,
        task,
        Continuation.of_render(rendered, team.model),
        team.question_ids(task),
        watch=watch,
        bytes_moved=reading.num_bytes,
    )
    return Answer(text, cost, dict(reading.receipt(rendered.plan)), order_facts(reading, ordered))


def order_facts(reading: Reading, ordered: Sequence[Fragment]) -> dict[str, object]:
    """Return the fact of an order: the agents' indices."""
    return {"order": reading.agents_of(ordered)}


def text_of(team: Team, token_ids: Sequence[int]) -> str:
    """Return the text that new tokens spell."""
    return str(team.tokenizer.decode(list(token_ids), skip_special_tokens=True))


def utf8_bytes(texts: Sequence[str]) -> int:
    """Return what texts weigh on the wire."""
    return sum(len(text.encode()) for text in texts)
