"""The gate measured: calibrated on some questions, judged on others.

The questions of the calibration have a seed of their own, so a threshold that fits them by chance
does not pass for a good one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from latentcrdt.agents.gate import Example, Outcome, Policy, collect
from latentcrdt.agents.gate.curve import (
    Bin,
    Point,
    accuracy_cost_curve,
    calibration_error,
    reliability,
)
from latentcrdt.agents.methods.repaired import build_repairs
from latentcrdt.agents.regime import Regime
from latentcrdt.agents.team import Team
from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.item import Benchmark, Item
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.partitioned import FAMILIES
from latentcrdt.evals.partitioned.benchmark import Partitioned, prompt_for
from latentcrdt.evals.provenance import package_versions
from latentcrdt.evals.runner import OnProgress
from latentcrdt.evals.statistics import Interval, wilson

REPAIR = "cacheblend-30"
"""What the gate may do between trusting a merge and reading the texts."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer all questions of the judgement."""

    name: str
    accuracy: float
    interval: Interval
    mean_cost: float
    """Tokens that the final agent computes, those of a trial included."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What a gate was worth."""

    settings: Mapping[str, object]
    num_calibration: int
    num_judged: int
    hurt: float
    """Share of the judged questions that a merge loses and the texts do not."""
    thresholds: tuple[tuple[str, float], ...]
    outcomes: Mapping[str, int]
    """How often the gate chose what."""
    ways: tuple[Way, ...]
    bins: tuple[Bin, ...]
    calibration_error: float
    curve: tuple[Point, ...]


CALIBRATION_SEED, JUDGEMENT_SEED = 1, 0
"""The questions judged by are the first of ``eval partitioned``, those calibrated on are others."""


def measure_on_partitioned(
    loaded: LoadedModel,
    regime: Regime,
    num_agents: int,
    num_questions: int,
    *,
    on_progress: OnProgress | None = None,
) -> GateReport:
    """Return what the gate is worth on partitioned reasoning, with so many questions to a split."""
    calibration, judgement = (
        Partitioned(list(FAMILIES), num_questions, prompt_for(loaded), seed=seed)
        for seed in (CALIBRATION_SEED, JUDGEMENT_SEED)
    )
    settings = {
        "model": loaded.name,
        "model_id": loaded.model_id,
        "regime": regime.name,
        "k": num_agents,
        "repair": REPAIR,
        "calibration": calibration.settings(),
        "judgement": judgement.settings(),
        "versions": package_versions(),
    }
    team = Team(loaded.model, loaded.tokenizer, regime)
    return measure_gate(team, calibration, judgement, num_agents, settings, on_progress=on_progress)


def measure_gate(
    team: Team,
    calibration: Benchmark,
    judgement: Benchmark,
    num_agents: int,
    settings: Mapping[str, object],
    *,
    on_progress: OnProgress | None = None,
) -> GateReport:
    """Answer every question in every way, fit a policy on the first benchmark, judge the second.

    Raises InvalidRequestError when both have a question in common.
    """
    # Family by family: the calibration's folds take turns, and families that take turns too would
    # make a fold of each, so that every threshold was one for families never seen.
    splits = [
        sorted(benchmark.items(num_agents), key=lambda item: item.family)
        for benchmark in (calibration, judgement)
    ]
    shared = {item.item_id for item in splits[0]} & {item.item_id for item in splits[1]}
    if shared:
        raise InvalidRequestError(f"question {min(shared)}: expected it in one of two splits")
    repaired = build_repairs(team)[REPAIR]
    metric = calibration.metrics[0]
    examples: list[list[Example]] = [[], []]
    total = sum(map(len, splits))
    for items, found in zip(splits, examples, strict=True):
        for item in items:
            found.append(collect(team, item.task, partial(_is_right, item, metric), repaired))
            if on_progress is not None:
                on_progress(sum(map(len, examples)), total)
    return report_of(Policy.calibrate(examples[0]), examples[0], examples[1], settings)


def report_of(
    policy: Policy,
    calibration: Sequence[Example],
    judged: Sequence[Example],
    settings: Mapping[str, object],
) -> GateReport:
    """Return what a policy does to examples that it was not fitted on."""
    chosen = [policy.decide(example.signals).outcome for example in judged]
    bins = reliability(policy.risk, judged)
    fixed = (Outcome.LATENT, Outcome.REPAIRED, Outcome.TEXT)
    return GateReport(
        settings=settings,
        num_calibration=len(calibration),
        num_judged=len(judged),
        hurt=sum(example.is_hurt for example in judged) / len(judged),
        thresholds=tuple((str(outcome), limit) for outcome, limit in policy.thresholds),
        outcomes={str(outcome): count for outcome, count in sorted(Counter(chosen).items())},
        ways=(
            _way("gated", judged, chosen),
            *(_way(f"always {outcome}", judged, [outcome] * len(judged)) for outcome in fixed),
        ),
        bins=tuple(bins),
        calibration_error=calibration_error(bins),
        curve=tuple(accuracy_cost_curve(policy.risk, judged)),
    )


def _is_right(item: Item, metric: str, text: str) -> bool:
    return item.judge(text)[metric] == 1


def _way(name: str, examples: Sequence[Example], chosen: Sequence[Outcome]) -> Way:
    pairs = list(zip(examples, chosen, strict=True))
    right = sum(example.right[outcome] for example, outcome in pairs)
    cost = sum(example.cost[outcome] for example, outcome in pairs)
    return Way(name, right / len(pairs), wilson(right, len(pairs)), cost / len(pairs))
