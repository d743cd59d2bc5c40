"""Findings and gates, on records that were made to come out one way or the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest

from latentcrdt.evals.confluence.calibration import Calibration, Share, calibrate
from latentcrdt.evals.confluence.findings import findings
from latentcrdt.evals.confluence.judged import Judged, by_pair
from latentcrdt.evals.confluence.merges import Merge
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds
from latentcrdt.evals.confluence.signals import Example, examples_elsewhere, examples_of
from latentcrdt.evals.confluence.summary import held_findings
from latentcrdt.evals.report.finding import Verdict
from latentcrdt.merging.gate import Gate, Trial
from latentcrdt.merging.gate.metrics import Metrics


def record(i: int, padding: int = 0, category: str = "homographs", **balances: float) -> Record:
    merges = tuple(
        Merge(name.replace("_", "-").removesuffix("-b"), "b" if name.endswith("_b") else "a", {}, m)
        for name, balance in balances.items()
        for m in [Metrics(2.718281828**balance, 1.0, 0.0, 1.0)]
    )
    return Record(f"pair-{i}", category, padding, merges=merges)


def verdicts(records: list[Record], layers: int = 12) -> dict[str, Verdict]:
    return {
        f.claim: f.verdict for f in findings(records, num_layers=layers, thresholds=Thresholds())
    }


def test_findings_follow_what_was_measured() -> None:
    better = [record(i, v_only=0.0, uniform_average=3.0, v_only_b=3.0) for i in range(20)]
    found = verdicts(better)
    assert found["V-only beats K+V"] is Verdict.REPRODUCED
    assert found["A-anchored differs from B-anchored"] is Verdict.REPRODUCED
    assert found["A fixed weight on 12 layers gives no confluence"] is Verdict.REPRODUCED
    assert found["The longer the shared prefix, the more confluence"] is Verdict.UNTESTABLE
    worse = [record(i, v_only=3.0, uniform_average=0.0, v_only_b=3.0) for i in range(20)]
    found = verdicts(worse)
    assert found["V-only beats K+V"] is Verdict.REFUTED
    assert found["A-anchored differs from B-anchored"] is Verdict.REFUTED
    assert found["A fixed weight on 12 layers gives no confluence"] is Verdict.REFUTED
    same = [record(i, v_only=0.0, uniform_average=0.0) for i in range(20)]
    assert verdicts(same)["V-only beats K+V"] is Verdict.UNDECIDED
    assert verdicts(same, layers=30)["A fixed weight on 12 layers gives no confluence"] is (
        Verdict.UNTESTABLE
    )
    assert set(verdicts(same[:3]).values()) == {Verdict.UNTESTABLE}


def test_a_longer_prefix_is_compared_on_the_same_pairs() -> None:
    records = [record(i, v_only=3.0) for i in range(20)]
    records += [record(i, padding=64, v_only=0.0) for i in range(20)]
    claim = "The longer the shared prefix, the more confluence"
    assert verdicts(records)[claim] is Verdict.REPRODUCED


def test_categories_are_held_against_what_the_source_says_of_them() -> None:
    records = [record(i, v_only=3.0, category="homographs") for i in range(20)]
    records += [record(i + 20, v_only=0.0, category="quantifiers") for i in range(20)]
    found = verdicts(records)
    assert found["Categories said to merge do so more often"] is Verdict.REPRODUCED
    assert found["Categories said to collapse do so more often"] is Verdict.REPRODUCED
    assert found["Categories said to wash out do so more often"] is Verdict.UNTESTABLE
    assert found["Quantifiers merge better than others (|balance| 0.259, says it)"] is (
        Verdict.REPRODUCED
    )
    other_way = [replace(r, category="dative") for r in records[:20]] + [
        replace(r, category="homographs") for r in records[20:]
    ]
    assert verdicts(other_way)["Categories said to collapse do so more often"] is Verdict.REFUTED


def test_one_pair_behind_many_prefixes_is_one_pair() -> None:
    records = [record(i, p, v_only=0.0, uniform_average=3.0) for i in range(5) for p in range(9)]
    assert verdicts(records)["V-only beats K+V"] is Verdict.UNTESTABLE


def trials(num_pairs: int, *, told: bool) -> list[Record]:
    """Return pairs half of which collapse, which their trials tell or tell the wrong way round."""
    return [
        replace(
            record(i, v_only=3.0 * collapses, uniform_average=2.0 * (collapses is told)),
            late_cosine=0.5,
        )
        for i in range(num_pairs)
        for collapses in [i % 2 == 0]
    ]


def test_a_signal_that_tells_is_told_from_one_that_misleads() -> None:
    claim = "A trial's balance detects collapse"
    assert verdicts(trials(20, told=True))[claim] is Verdict.REPRODUCED
    assert verdicts(trials(20, told=False))[claim] is Verdict.REFUTED
    assert verdicts(trials(12, told=True))[claim] is Verdict.UNTESTABLE


def test_a_gate_asks_for_what_tells_and_is_judged_on_pairs_that_it_has_not_seen() -> None:
    def calibration(records: list[Record]) -> Calibration:
        return calibrate(examples_of(Judged(records, Thresholds())))

    good = calibration(trials(40, told=True))
    assert good.gate == Gate(most_balance=pytest.approx(1.0))
    assert (good.kept, good.stopped) == (Share(20, 20), Share(20, 20))
    assert (good.confluent, good.confluent_passed) == (Share(20, 40), Share(20, 20))
    misled = calibration(trials(40, told=False))
    assert misled.gate == Gate()
    assert (misled.kept, misled.stopped) == (Share(20, 20), Share(0, 20))
    assert calibration([]).gate == Gate()


def test_a_trial_is_held_against_what_becomes_of_the_pair_elsewhere() -> None:
    records = [record(i, 64, v_only=3.0 * (i % 2), uniform_average=9.0) for i in range(20)]
    records += [record(i, 0, v_only=9.0, uniform_average=i % 2) for i in range(20)]
    records.append(record(99, 0, v_only=9.0, uniform_average=0.0))  # behind one prefix alone
    found = examples_elsewhere(Judged(records, Thresholds()))
    assert [(e.pair_id, round(e.trial.balance), e.outcome is Outcome.COLLAPSE) for e in found] == [
        (f"pair-{i}", i % 2, i % 2 == 1) for i in range(20)
    ]
    curve = calibrate([], found).curves_elsewhere["|balance| of a trial, collapse"]
    assert curve is not None
    assert curve.area == 1


def test_limits_lie_between_what_washes_out_and_what_does_not() -> None:
    def washing(i: int) -> Record:
        share, cosine = (0.1, 0.2) if i % 2 else (0.9, 0.8)
        merges = [
            Merge(strategy, "a", {}, Metrics(1.0, 1.0, 0.0, share))
            for strategy in ("v-only", "uniform-average")
        ]
        return replace(record(i), late_cosine=cosine, merges=tuple(merges))

    judged = Judged([washing(i) for i in range(40)], Thresholds())
    found = calibrate(examples_of(judged))
    assert found.gate == Gate(least_cosine=pytest.approx(0.5), least_share=pytest.approx(0.5))
    assert (found.kept, found.stopped) == (Share(20, 20), Share(20, 20))


def test_a_pair_behind_two_prefixes_counts_with_its_mean() -> None:
    records = [record(1, v_only=0.0), record(1, 64, v_only=3.0), record(2), record(3, v_only=0.0)]
    judged = Judged(records, Thresholds())
    scores = [partial(judged.confluent, strategy="v-only"), lambda r: float(r.padding_tokens)]
    assert by_pair(records, *scores) == [[0.5, 1.0], [32.0, 0.0]]
    assert by_pair([], *scores) == [[], []]


def test_each_pair_is_judged_by_a_gate_that_has_not_seen_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Remembering(Gate):
        seen: frozenset[Trial] = frozenset()

        def passes(self, trial: Trial) -> bool:
            return trial in self.seen

    def remember(examples: Sequence[Example]) -> Gate:
        return Remembering(seen=frozenset(example.trial for example in examples))

    monkeypatch.setattr("latentcrdt.evals.confluence.calibration.calibrated_gate", remember)
    # Each pair twice, as behind two prefixes: neither may give the other away.
    examples = [
        Example(f"pair-{i}", Trial(0.5, float(i), 1.0), Outcome.CONFLUENCE)
        for i in range(23)
        for _ in range(2)
    ]
    assert calibrate(examples).kept == Share(0, 46)
    assert calibrate(examples).gate.passes(examples[0].trial)


def test_a_finding_says_how_many_borders_lead_to_it() -> None:
    def same(balance: float) -> dict[str, int]:
        records = [record(i, v_only=balance, uniform_average=3.0) for i in range(20)]
        return {h.finding.claim: h.num_same for h in held_findings(records, 30)}

    assert same(0.0)["V-only beats K+V"] == 15
    assert same(0.6)["V-only beats K+V"] == 9  # 0.6 is over 1/2 and 3/4 of log 2


def test_a_merge_is_held_against_a_branch_alone() -> None:
    def beside(alone: float) -> list[Record]:
        branch = Metrics(2.718281828**alone, 1.0, 0.0, 1.0)
        return [replace(record(i, v_only=0.0), alone=(branch, branch)) for i in range(20)]

    claim = "Control, ours: v-only is confluent more often than branch A alone"
    assert verdicts(beside(3.0))[claim] is Verdict.REPRODUCED
    assert verdicts(beside(0.0))[claim] is Verdict.UNDECIDED


def test_a_lean_is_where_a_balance_lies_between_those_of_the_branches() -> None:
    a, b, merged = (Metrics(2.718281828**x, 1.0, 0.0, 1.0) for x in (3.0, -1.0, 2.0))
    measured = replace(record(0), alone=(a, b))
    leans = [measured.lean(m) for m in (a, b, merged)]
    assert leans == [pytest.approx(1), pytest.approx(-1), pytest.approx(0.5)]
    assert replace(measured, alone=(b, a)).lean(merged) is None
    near = Metrics(2.718281828**2.4, 1.0, 0.0, 1.0)
    assert replace(measured, alone=(a, near)).lean(merged) is None
    assert record(0).lean(merged) is None
