"""The source's findings (FACTS section 7), each held against a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from latentcrdt.evals.report.finding import Finding, Verdict, untestable
from latentcrdt.evals.statistics import mcnemar, paired_difference
from latentcrdt.evals.two_models.record import KNOWN, Judgement, Record, Setting

SIGNIFICANT = 0.05
"""Two-sided probability below which a difference is not put down to chance."""

CLAIMED = {"lerp": 97.2, "slerp": 74.8, "regmean": 69.8}
"""Percent of the judged pairs that the source's latent merges win against merges of weights."""

LATE = (20 / 28, 25 / 28)
"""Depth of the source's best layers, as shares of all."""

HIGH = 0.5
"""The source's best weights of the tuned model begin here."""


def findings(
    records: Sequence[Record], judgements: Sequence[Judgement], *, num_layers: int
) -> list[Finding]:
    """Return every finding with its verdict on this run."""
    latent = [record for record in records if record.setting.where == "latent"]
    weights = {record.setting: record for record in records if record.setting.where == "weights"}

    def depth(setting: Setting) -> float:
        return (setting.layer + 1) / num_layers

    def is_late(setting: Setting) -> bool:
        return LATE[0] <= depth(setting) <= LATE[1]

    return [
        *_wins(judgements),
        *(
            _less_loss(f"Latent {operator} makes right answers likelier than weights do", *beside)
            for operator, beside in _beside(latent, weights).items()
        ),
        _less_loss(
            "Later layers are better (71 to 89 % of the depth, against all earlier ones)",
            [r for r in latent if is_late(r.setting)],
            [r for r in latent if depth(r.setting) < LATE[0]],
        ),
        _less_loss(
            "alpha 0.5 to 0.75 is better than 0.25",
            [r for r in latent if r.setting.alpha >= HIGH],
            [r for r in latent if r.setting.alpha < HIGH],
        ),
        _less_loss(
            "The last layer is worse than the late ones",
            [r for r in latent if is_late(r.setting)],
            [r for r in latent if r.setting.layer == num_layers - 1],
        ),
        *_bound(latent),
    ]


def _wins(judgements: Sequence[Judgement]) -> list[Finding]:
    found = []
    merges = [entry for entry in judgements if entry.setting != KNOWN]
    for judge in dict.fromkeys(entry.judge for entry in merges):
        for operator, claimed in CLAIMED.items():
            own = [e for e in merges if (e.judge, e.setting.operator) == (judge, operator)]
            if own:
                claim = (
                    f"Latent {operator} beats {operator} of weights (source: {claimed} %; "
                    f"judge: {judge})"
                )
                found.append(_win(claim, own))
    return found


def _win(claim: str, own: Sequence[Judgement]) -> Finding:
    by_case = [fmean(entry.points[i] for entry in own) for i in own[0].points]
    ahead, behind = ([p > 0.5 for p in by_case], [p < 0.5 for p in by_case])
    points = [p for entry in own for p in entry.points.values()]
    wins, losses = sum(p > 0.5 for p in points), sum(p < 0.5 for p in points)
    test = mcnemar(ahead, behind)
    evidence = (
        f"{wins} won, {losses} lost, {len(points) - wins - losses} ties; ahead on {sum(ahead)} and "
        f"behind on {sum(behind)} of {len(by_case)} cases, p = {test.p_value:.2g} (sign test)"
    )
    if test.p_value >= SIGNIFICANT:
        return Finding(claim, Verdict.UNDECIDED, evidence)
    better = sum(ahead) > sum(behind)
    return Finding(claim, Verdict.REPRODUCED if better else Verdict.REFUTED, evidence)


def _beside(
    latent: Sequence[Record], weights: Mapping[Setting, Record]
) -> dict[str, tuple[list[Record], list[Record]]]:
    """Return the latent merges of each operator, and as many merges of weights by their rules."""
    known = [record for record in latent if record.setting.beside in weights]
    return {
        operator: (
            [r for r in known if r.setting.operator == operator],
            [weights[r.setting.beside] for r in known if r.setting.operator == operator],
        )
        for operator in dict.fromkeys(record.setting.operator for record in known)
    }


def _less_loss(claim: str, better: Sequence[Record], worse: Sequence[Record]) -> Finding:
    """Return whether right answers are likelier in one group of settings than in another."""
    groups = (better, worse)
    if not all(groups):
        return untestable(claim, "no such settings in this run")
    ids = list(groups[0][0].losses)
    first, second = ([fmean(r.losses[i] for r in group) for i in ids] for group in groups)
    difference, (low, high) = paired_difference(first, second)
    evidence = (
        f"loss of the right answers {fmean(first):.4f} and {fmean(second):.4f}, difference "
        f"{difference:+.4f} [{low:+.4f}, {high:+.4f}] over {len(ids)} cases"
    )
    if low <= 0 <= high:
        return Finding(claim, Verdict.UNDECIDED, evidence)
    return Finding(claim, Verdict.REPRODUCED if high < 0 else Verdict.REFUTED, evidence)


def _bound(records: Sequence[Record]) -> list[Finding]:
    """Return whether the bound holds with the greatest constants of the other texts."""
    found = []
    for operator in dict.fromkeys(record.setting.operator for record in records):
        entries = [r.bound[-1] for r in records if r.setting.operator == operator and r.bound]
        claim = f"The second-order bound holds ({operator}, constants of other texts)"
        worst = max(entry.violations for entry in entries)
        evidence = (
            f"violated by {100 * fmean(e.violations for e in entries):.2f} % of tokens, at most "
            f"{100 * worst:.2f} % in any of {len(entries)} settings"
        )
        # A constant that is the greatest of a sample is too small now and then.
        holds = worst <= SIGNIFICANT
        found.append(Finding(claim, Verdict.REPRODUCED if holds else Verdict.REFUTED, evidence))
    return found
