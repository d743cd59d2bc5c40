"""The runner: every method on every question of every cell, one stored answer at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from latentcrdt.agents.method import Answer, Method
from latentcrdt.agents.regime import Regime
from latentcrdt.evals.item import Benchmark, Item
from latentcrdt.evals.record import Key, Record, Timing
from latentcrdt.evals.run_directory import RunDirectory

MethodsOf: TypeAlias = Callable[["Cell"], Iterable[Method]]
"""Makes the methods of a cell. They may share captures: a question's methods run one by one."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the number of answers stored and that of all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of a matrix: all its questions are answered by all its methods."""

    num_agents: int
    regime: Regime
    methods: tuple[str, ...]


def run(
    cells: Sequence[Cell],
    benchmark: Benchmark,
    methods_of: MethodsOf,
    directory: RunDirectory,
    *,
    on_progress: OnProgress | None = None,
) -> None:
    """Answer what the directory does not hold yet, always in the same order.

    Cell by cell, then question by question, then method by method: whenever a run is stopped, all
    methods have answered the same questions, but for the last one.
    """
    items = {n: benchmark.items(n) for n in {cell.num_agents for cell in cells}}
    total = sum(len(cell.methods) * len(items[cell.num_agents]) for cell in cells)
    done = 0
    for cell in cells:
        methods: list[Method] | None = None  # not made for a cell that is finished
        for item in items[cell.num_agents]:
            for index, name in enumerate(cell.methods):
                key = Key(cell.num_agents, cell.regime.name, item.item_id, name)
                if key not in directory:
                    methods = list(methods_of(cell)) if methods is None else methods
                    assert methods[index].name == name
                    began = time.perf_counter()
                    answer = methods[index].answer(item.task)
                    _store(directory, key, item, answer, time.perf_counter() - began)
                done += 1
                if on_progress is not None:
                    on_progress(done, total)


def _store(directory: RunDirectory, key: Key, item: Item, answer: Answer, answer_s: float) -> None:
    receipt = None if answer.receipt is None else directory.add_receipt(answer.receipt)
    record = Record(
        *key,
        family=item.family,
        expected=item.expected,
        text=answer.text,
        scores=item.judge(answer.text),
        context_tokens=answer.cost.context_tokens,
        prefilled_tokens=answer.cost.prefilled_tokens,
        bytes_moved=answer.cost.bytes_moved,
        receipt=receipt,
        facts=answer.facts,
    )
    directory.add(record, Timing(*key, answer.cost.first_token_s, answer_s))
