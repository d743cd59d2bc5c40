"""From the stored answers of a run to its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import TypeAlias

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.record import Key, Record, Timing
from latentcrdt.evals.report.summary import (
    CellSummary,
    Comparison,
    MethodSummary,
    Orders,
    Summary,
)
from latentcrdt.evals.run_directory import read_records, read_timings
from latentcrdt.evals.statistics import mcnemar, paired_difference, wilson
from latentcrdt.evals.statistics.holm import holm

CANONICAL = "canonical"
"""What is compared with every other method."""

FULL_CONTEXT = "single"
"""What every other method is compared with: one agent that read everything."""

ANY_ORDER = "bag-"
"""How the names of BagMerge begin; the order follows."""

Answers: TypeAlias = Mapping[str, Sequence[Record]]
"""By method, the answers to the same questions in the same order."""


def summarise(run: Path) -> Summary:
    """Return the figures of a run, finished or not. Raises InvalidRequestError for no answers."""
    manifest = read_manifest(run)
    timings = read_timings(run)
    metric = manifest["settings"]["metrics"][0]
    cells = [_cell(answers, timings, metric) for answers in _answers_by_cell(run)]
    if not cells:
        raise InvalidRequestError(f"{run}: expected answers, found no question that is finished")
    return Summary(
        settings=manifest["settings"],
        sessions=tuple(manifest["sessions"]),
        metric=metric,
        cells=tuple(_adjusted(cells)),
    )


def _answers_by_cell(run: Path) -> Iterator[Answers]:
    """Yield the answers of each cell, to those questions that all its methods have answered."""
    cells: dict[tuple[int, str], dict[str, dict[str, Record]]] = {}
    for record in read_records(run):
        methods = cells.setdefault((record.num_agents, record.regime), {})
        methods.setdefault(record.method, {})[record.item_id] = record
    for methods in cells.values():
        first, *others = methods.values()
        shared = [item for item in first if all(item in answers for answers in others)]
        if shared:
            yield {name: [answers[item] for item in shared] for name, answers in methods.items()}


def _cell(answers: Answers, timings: Mapping[Key, Timing], metric: str) -> CellSummary:
    records = next(iter(answers.values()))
    right = {name: [r.scores[metric] == 1 for r in given] for name, given in answers.items()}
    pairs = [(CANONICAL, other) for other in answers if other != CANONICAL]
    pairs += [(m, FULL_CONTEXT) for m in answers if m not in (CANONICAL, FULL_CONTEXT)]
    return CellSummary(
        num_agents=records[0].num_agents,
        regime=records[0].regime,
        num_steps=int(records[0].regime.rpartition("-")[2]),
        num_questions=len(records),
        methods=tuple(_method(answers[name], right[name], timings) for name in answers),
        orders=_orders(answers, right),
        comparisons=tuple(
            _compare(first, second, right)
            for first, second in pairs
            if first in right and second in right
        ),
    )


def _method(
    records: Sequence[Record], right: Sequence[bool], timings: Mapping[Key, Timing]
) -> MethodSummary:
    families: dict[str, list[bool]] = defaultdict(list)
    for record, is_right in zip(records, right, strict=True):
        families[record.family].append(is_right)
    return MethodSummary(
        method=records[0].method,
        accuracy=sum(right) / len(right),
        interval=wilson(sum(right), len(right)),
        scores={metric: fmean(r.scores[metric] for r in records) for metric in records[0].scores},
        families={family: sum(r) / len(r) for family, r in families.items()},
        context_tokens=median(r.context_tokens for r in records),
        prefilled_tokens=median(r.prefilled_tokens for r in records),
        bytes_moved=median(r.bytes_moved for r in records),
        first_token_s=median(timings[r.key].first_token_s for r in records),
    )


def _orders(answers: Answers, right: Mapping[str, list[bool]]) -> Orders | None:
    orders = [name for name in answers if name.startswith(ANY_ORDER)]
    if not orders:
        return None
    by_question = list(zip(*(right[name] for name in orders), strict=True))
    texts = zip(*([r.text for r in answers[name]] for name in orders), strict=True)
    n = len(by_question)
    return Orders(
        num_orders=len(orders),
        best=max(orders, key=lambda name: sum(right[name])),
        worst=min(orders, key=lambda name: sum(right[name])),
        any_right=sum(map(any, by_question)) / n,
        all_right=sum(map(all, by_question)) / n,
        disagree=sum(len(set(given)) > 1 for given in texts) / n,
    )


def _compare(first: str, second: str, right: Mapping[str, list[bool]]) -> Comparison:
    difference = paired_difference(right[first], right[second])
    test = mcnemar(right[first], right[second])
    return Comparison(
        first=first,
        second=second,
        difference=difference.mean,
        interval=difference.interval,
        only_first=test.only_first,
        only_second=test.only_second,
        p_value=test.p_value,
        adjusted_p_value=test.p_value,
    )


def _adjusted(cells: Sequence[CellSummary]) -> Iterator[CellSummary]:
    """Yield the cells with Holm's correction, for each two methods over all cells."""
    tests: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        for c in cell.comparisons:
            tests[c.first, c.second].append(c.p_value)
    corrected = {pair: iter(holm(p_values)) for pair, p_values in tests.items()}
    for cell in cells:
        comparisons = tuple(
            replace(c, adjusted_p_value=next(corrected[c.first, c.second]))
            for c in cell.comparisons
        )
        yield replace(cell, comparisons=comparisons)
