"""A summary as a page of Markdown: tables with intervals, and what each column means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from latentcrdt.evals.report.claims import NEAR_POINTS, order_claim
from latentcrdt.evals.report.summarise import ANY_ORDER, CANONICAL, FULL_CONTEXT
from latentcrdt.evals.report.summary import CellSummary, Comparison, MethodSummary, Summary

NONE = "-"
"""Stands where something was not run."""


def markdown(summary: Summary) -> str:
    """Return the page."""
    return "\n".join(_page(summary))


def _page(summary: Summary) -> Iterator[str]:
    settings = summary.settings
    yield f"# {str(settings['benchmark']).capitalize()} on {settings['model']}\n"
    yield (
        f"Accuracy ({summary.metric}) in percent with Wilson's 95 % interval; differences in "
        "points with the paired bootstrap's 95 % interval over the same questions; p by McNemar's "
        "exact test, two-sided, with Holm's correction over the cells of this run. Costs are "
        "medians.\n"
    )
    for name in sorted(settings):
        if name not in ("benchmark", "model"):
            yield f"- {name}: {_plain(settings[name])}"
    for session in summary.sessions:
        yield f"- run: {_plain(session)}"
    yield from _orders(summary)
    yield from _baselines(summary)
    yield from _by_agents(summary)
    yield from _families(summary)
    yield from _costs(summary)


def _orders(summary: Summary) -> Iterator[str]:
    cells = [c for c in summary.cells if c.orders is not None and c.method(CANONICAL)]
    if not cells:
        return
    yield "\n## Canonical against every order of the agents\n"
    yield (
        "Best and worst order are those of the cell, known only afterwards: the best of several "
        "equally good orders is above their mean by chance alone. `any` and `all`: questions that "
        "at least one order, or every order, answers right. `differ`: questions on which two "
        "orders give different texts.\n"
    )
    rows = []
    for cell in cells:
        orders = cell.orders
        assert orders is not None
        against = cell.comparison(CANONICAL, orders.best)
        rows.append(
            [
                str(cell.num_agents),
                cell.regime,
                str(cell.num_questions),
                _accuracy(cell.method(CANONICAL)),
                f"{_accuracy(cell.method(orders.best))} {orders.best.removeprefix(ANY_ORDER)}",
                f"{_accuracy(cell.method(orders.worst))} {orders.worst.removeprefix(ANY_ORDER)}",
                _difference(against),
                _p_value(against),
                f"{_percent(orders.any_right)} / {_percent(orders.all_right)}",
                _percent(orders.disagree),
            ]
        )
    yield from _table(
        [
            "k",
            "regime",
            "n",
            "canonical",
            "best order",
            "worst order",
            "canonical - best",
            "p",
            "any / all",
            "differ",
        ],
        rows,
    )
    claim = order_claim(cells)
    yield (
        f"\nCanonical is within {NEAR_POINTS} points of the best order in {claim.num_near} of "
        f"{claim.num_cells} cells, and not below the worst in {claim.num_not_below_worst}; the "
        f"largest gap to the best is {100 * claim.largest_gap:.1f} points, the mean gap "
        f"{100 * claim.mean_gap:.1f}. p below 0.05 in {claim.num_significant} cells."
    )


def _baselines(summary: Summary) -> Iterator[str]:
    others = [name for name in _names(summary) if name != CANONICAL]
    cells = [cell for cell in summary.cells if cell.method(CANONICAL)]
    if not cells or not others:
        return
    yield "\n## Beside other methods\n"
    header = ["k", "regime", "n", CANONICAL, *others]
    yield from _table(
        header,
        [
            [str(c.num_agents), c.regime, str(c.num_questions)]
            + [_accuracy(c.method(name)) for name in (CANONICAL, *others)]
            for c in cells
        ],
    )
    yield "\nCanonical minus each, in points, with p:\n"
    yield from _table(
        [*header[:3], *others],
        [
            [str(c.num_agents), c.regime, str(c.num_questions)]
            + [_tested(c.comparison(CANONICAL, name)) for name in others]
            for c in cells
        ],
    )


def _by_agents(summary: Summary) -> Iterator[str]:
    numbers = sorted({cell.num_agents for cell in summary.cells})
    if len(numbers) < 2:
        return
    yield "\n## By number of agents\n"
    for regime in dict.fromkeys(cell.regime for cell in summary.cells):
        cells = {cell.num_agents: cell for cell in summary.cells if cell.regime == regime}
        names = _names(summary)
        found = {n: [c.method(n) if (c := cells.get(k)) else None for k in numbers] for n in names}
        yield f"\nRegime `{regime}`:\n"
        rows = [[n, *map(_accuracy, methods)] for n, methods in found.items() if any(methods)]
        yield from _table(["method", *(f"k = {k}" for k in numbers)], rows)
        yield f"\nMinus `{FULL_CONTEXT}`, in points, with p:\n"
        rows = []
        for name in names:
            pair = (name, FULL_CONTEXT)
            tested = [c.comparison(*pair) if (c := cells.get(k)) else None for k in numbers]
            if any(tested):
                rows.append([name, *map(_tested, tested)])
        yield from _table(["method", *(f"k = {k}" for k in numbers)], rows)


def _families(summary: Summary) -> Iterator[str]:
    yield "\n## By family\n"
    yield "In the first regime of each number of agents; the others are in report.json.\n"
    for cell in _first_of_each(summary):
        families = list(dict.fromkeys(f for m in cell.methods for f in m.families))
        yield f"\nk = {cell.num_agents}, `{cell.regime}`:\n"
        yield from _table(
            ["method", *families],
            [[m.method, *(_percent(m.families[f]) for f in families)] for m in cell.methods],
        )


def _costs(summary: Summary) -> Iterator[str]:
    yield "\n## Cost beside accuracy\n"
    yield (
        "Tokens that the final agent attends to, those of them that it computes itself, bytes "
        "handed over, and milliseconds from having received everything to the first token's "
        "logits.\n"
    )
    for cell in _first_of_each(summary):
        yield f"\nk = {cell.num_agents}, `{cell.regime}`:\n"
        yield from _table(
            ["method", "accuracy", "tokens", "computed", "bytes", "first token, ms"],
            [
                [
                    m.method,
                    _accuracy(m),
                    f"{m.context_tokens:.0f}",
                    f"{m.prefilled_tokens:.0f}",
                    f"{m.bytes_moved:,.0f}",
                    f"{1e3 * m.first_token_s:.1f}",
                ]
                for m in cell.methods
            ],
        )


def _first_of_each(summary: Summary) -> list[CellSummary]:
    first: dict[int, CellSummary] = {}
    for cell in summary.cells:
        first.setdefault(cell.num_agents, cell)
    return list(first.values())


def _names(summary: Summary) -> list[str]:
    """Return the methods that were run, without the orders."""
    names = dict.fromkeys(m.method for cell in summary.cells for m in cell.methods)
    return [name for name in names if not name.startswith(ANY_ORDER)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(header)
    yield _row(["---"] * len(header))
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_plain(member)}" for name, member in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _accuracy(method: MethodSummary | None) -> str:
    if method is None:
        return NONE
    low, high = method.interval
    return f"{_percent(method.accuracy)} [{_percent(low)}, {_percent(high)}]"


def _difference(comparison: Comparison | None) -> str:
    if comparison is None:
        return NONE
    low, high = comparison.interval
    return f"{100 * comparison.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _p_value(comparison: Comparison | None) -> str:
    return NONE if comparison is None else f"{comparison.adjusted_p_value:.2g}"


def _tested(comparison: Comparison | None) -> str:
    return NONE if comparison is None else f"{_difference(comparison)}, {_p_value(comparison)}"
