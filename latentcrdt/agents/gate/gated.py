"""Gated: a method that tries the merge first, and answers from something else where it may hurt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from latentcrdt.agents.answering import Stopwatch, continued, order_facts
from latentcrdt.agents.gate.policy import Outcome, Policy, needs_no_trial
from latentcrdt.agents.gate.signals import Trial, try_merge
from latentcrdt.agents.method import Answer, Cost, Method, Task
from latentcrdt.agents.methods.single import SingleAgent
from latentcrdt.agents.methods.text_merge import TextMerge
from latentcrdt.agents.reading import Reading
from latentcrdt.agents.team import Team
from latentcrdt.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Gated:
    """CanonicalMerge behind a gate; a latent answer goes on from the trial, at no further cost."""

    team: Team
    policy: Policy
    repaired: Method | None = None
    """How to repair a merge; needed where the policy knows that outcome."""
    name: str = "gated"

    def __post_init__(self) -> None:
        rungs = {outcome for outcome, _ in self.policy.thresholds}
        if Outcome.REPAIRED in rungs and self.repaired is None:
            raise InvalidRequestError("gate: expected a repair, which the policy was fitted with")

    def answer(self, task: Task) -> Answer:
        """Return the answer, with outcome, risk and signals; costs include the trial's."""
        decision = needs_no_trial(task.purpose)
        if decision is not None:
            answer = SingleAgent(self.team).answer(task)
            return replace(answer, facts={**answer.facts, "outcome": decision.outcome})
        reading = self.team.read(task)
        watch = Stopwatch()
        trial = try_merge(self.team, reading, self.team.question_ids(task))
        decision = self.policy.decide(trial.signals)
        spent = Cost(
            trial.continuation.num_tokens, trial.prefilled_tokens, reading.num_bytes, watch.seconds
        )
        answer = self._answer(decision.outcome, task, reading, trial, spent)
        facts = {
            **answer.facts,
            "outcome": decision.outcome,
            "risk": decision.risk,
            "signals": trial.signals.document(),
        }
        return replace(answer, facts=facts)

    def _answer(
        self, outcome: Outcome, task: Task, reading: Reading, trial: Trial, spent: Cost
    ) -> Answer:
        if outcome is Outcome.LATENT:
            text = continued(self.team, trial.continuation, trial.logits, task.max_new_tokens)
            receipt = dict(reading.receipt(reading.plan(trial.ordered)))
            return Answer(text, spent, receipt, order_facts(reading, trial.ordered))
        method: Method = TextMerge(self.team)
        if outcome is Outcome.REPAIRED:
            assert self.repaired is not None
            method = self.repaired
        answer = method.answer(task)
        cost = Cost(
            answer.cost.context_tokens,
            spent.prefilled_tokens + answer.cost.prefilled_tokens,
            # A repair starts from the fragments that were received; texts come on top.
            max(spent.bytes_moved, answer.cost.bytes_moved)
            if outcome is Outcome.REPAIRED
            else spent.bytes_moved + answer.cost.bytes_moved,
            spent.first_token_s + answer.cost.first_token_s,
        )
        return replace(answer, cost=cost)
