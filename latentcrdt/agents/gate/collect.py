"""Examples for a calibration: tasks of which the right answers are known, answered in every way."""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.agents.gate.policy import Example, Outcome
from latentcrdt.agents.gate.signals import try_merge
from latentcrdt.agents.method import Method, Task
from latentcrdt.agents.methods.canonical import CanonicalMerge
from latentcrdt.agents.methods.text_merge import TextMerge
from latentcrdt.agents.team import Team


def collect(
    team: Team, task: Task, is_right: Callable[[str], bool], repaired: Method | None = None
) -> Example:
    """Return the signals of a task's merge, and how every outcome would have ended.

    Costs are those behind a gate: the trial's tokens, and for all but the latent outcome those of
    the method that answers instead.
    """
    trial = try_merge(team, team.read(task), team.question_ids(task))
    latent = CanonicalMerge(team).answer(task)
    right = {Outcome.LATENT: is_right(latent.text)}
    cost = {Outcome.LATENT: float(trial.prefilled_tokens)}
    others: dict[Outcome, Method] = {Outcome.TEXT: TextMerge(team)}
    if repaired is not None:
        others[Outcome.REPAIRED] = repaired
    for outcome, method in others.items():
        answer = method.answer(task)
        right[outcome] = is_right(answer.text)
        cost[outcome] = float(trial.prefilled_tokens + answer.cost.prefilled_tokens)
    return Example(trial.signals, right, cost)
