"""CanonicalMerge with a repair behind it, and the parallel layout with APE, as methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latentcrdt.agents.answering import Stopwatch, complete, order_facts
from latentcrdt.agents.method import Answer, Method, Task
from latentcrdt.agents.repair import APE, CacheBlend, LegoLink, Reprefill
from latentcrdt.agents.team import Team
from latentcrdt.core.derived import Repair
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.hf.continuation import Continuation
from latentcrdt.render.derived import derive
from latentcrdt.render.stream import render


@dataclass(frozen=True, slots=True)
class Repaired:
    """The final agent repairs the canonical render itself, then decodes from it."""

    team: Team
    name: str
    repair: Repair
    count: Callable[[RenderPlan], int]
    """The tokens that the repair computes again in all layers, of a plan."""

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the receipt of the render and the name of what it became.

        The time to the first token and the tokens computed are with the repair. Raises as the
        repair does, UnrepairableError among others.
        """
        reading = self.team.read(task)
        question = self.team.question_ids(task)
        watch = Stopwatch()
        ordered = reading.canonical()
        plan = reading.plan(ordered)
        derived = derive(self.repair, plan, reading.by_id)
        text, cost = complete(
            self.team,
            task,
            Continuation.of_render(derived.render, self.team.model),
            question,
            watch=watch,
            bytes_moved=reading.num_bytes,
            num_recomputed=self.count(plan),
        )
        facts = {
            **order_facts(reading, ordered),
            "derivation": str(derived.derivation.derivation_id),
            "derived": str(derived.fragment_id),
        }
        return Answer(text, cost, dict(reading.receipt(plan)), facts)


@dataclass(frozen=True, slots=True)
class ParallelMerge:
    """The fragments at the same positions, attended to as APE says while the answer is decoded."""

    team: Team
    ape: APE
    name: str = "ape"

    def answer(self, task: Task) -> Answer:
        """Return the answer, with the receipt of the parallel render; raises as `APE.attention`."""
        reading = self.team.read(task)
        question = self.team.question_ids(task)
        watch = Stopwatch()
        ordered = reading.canonical()
        headers, prefixes = [f.header for f in ordered], [p.header for p in reading.prefixes]
        plan = place(headers, prefixes, layout=Layout.PARALLEL)
        continuation = Continuation.of_render(render(plan, reading.by_id), self.team.model)
        with self.ape.attention(self.team.model, plan):
            text, cost = complete(
                self.team, task, continuation, question, watch=watch, bytes_moved=reading.num_bytes
            )
        return Answer(text, cost, dict(reading.receipt(plan)), order_facts(reading, ordered))


def build_repairs(team: Team) -> dict[str, Method]:
    """Return CanonicalMerge with each repair, by name, at the settings that their authors use."""
    model = team.model
    methods: list[Method] = [ParallelMerge(team, APE())]
    for rows in (8, 16):
        link = LegoLink(model, rows)
        methods.append(Repaired(team, f"legolink-{rows}", link, _linked_by(link)))
    for percent in (15, 30):
        blend = CacheBlend(model, percent / 100)
        methods.append(Repaired(team, f"cacheblend-{percent}", blend, _share_of(blend)))
    methods.append(Repaired(team, "reprefill", Reprefill(model), _num_behind_prefixes))
    return {method.name: method for method in methods}


def _linked_by(link: LegoLink) -> Callable[[RenderPlan], int]:
    return lambda plan: len(link.select(plan))


def _share_of(blend: CacheBlend) -> Callable[[RenderPlan], int]:
    return lambda plan: round(blend.share * _num_behind_prefixes(plan))


def _num_behind_prefixes(plan: RenderPlan) -> int:
    return plan.next_position - plan.base
