"""Measure what it brings to decode from a render while it arrives, on SmolLM2 over slow links.

Two captures, pushed to a real server; the first token after a question, once from the whole render
and once layer by layer, in turns. Both are verified against the receipt and give the same token.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from latentcrdt_server.child_process import ServerProcess
from transformers import PreTrainedModel

from latentcrdt.cli.output import console
from latentcrdt.client import Client
from latentcrdt.hf import capture, decode_inputs, load_smollm2
from scripts.machine_facts import facts_line
from scripts.marked_section import markdown, replace_section
from scripts.slow_link import slow_link

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SECTION = "layers"
STATE = "layers"
LINKS_MBIT = (500, 1_000, 4_000)
QUESTION = list(range(1000, 1016))


@dataclass(frozen=True, slots=True)
class Row:
    """One link; seconds, medians, since the render was asked for."""

    megabits: int
    num_bytes: int
    first_layer: float
    whole_arrived: float
    token_by_layers: float
    token_from_whole: float


def measure(model: PreTrainedModel, num_tokens: int, runs: int) -> list[Row]:
    """Return one row a link."""
    fragments = [
        capture(model, None, [(7 * i + seed) % 40_000 for i in range(num_tokens // 2)])
        for seed in (1, 2)
    ]
    rows = []
    with tempfile.TemporaryDirectory() as name, ServerProcess(Path(name) / "data") as server:
        with Client(server.url) as client:
            for fragment in fragments:
                client.push(STATE, fragment)
        for megabits in LINKS_MBIT:
            with (
                slow_link(server.url, megabits * 125_000) as url,
                Client(url) as client,
                torch.no_grad(),
            ):
                rows.append(_measure_link(client, model, megabits, runs))
    return rows


def _measure_link(client: Client, model: PreTrainedModel, megabits: int, runs: int) -> Row:
    def token_from_whole() -> tuple[float, int]:
        began = time.perf_counter()
        render = client.render(STATE, where="server")
        arrived.append(time.perf_counter() - began)
        logits = model(**decode_inputs(render, model, QUESTION)).logits
        return time.perf_counter() - began, int(logits[0, -1].argmax())

    def token_by_layers() -> tuple[float, int]:
        began = time.perf_counter()
        with client.render_layers(STATE) as render:
            render.keys(0)
            first_layers.append(time.perf_counter() - began)
            logits = model(**decode_inputs(render, model, QUESTION)).logits
        return time.perf_counter() - began, int(logits[0, -1].argmax())

    arrived: list[float] = []
    first_layers: list[float] = []
    ways: list[Callable[[], tuple[float, int]]] = [token_from_whole, token_by_layers]
    taken: dict[Callable[[], tuple[float, int]], list[float]] = {way: [] for way in ways}
    tokens = set()
    for run in range(runs + 1):
        for way in ways:
            seconds, token = way()
            taken[way].append(seconds)
            tokens.add(token)
        if run == 0:  # it warmed the server's caches and the model's memory
            for times in (arrived, first_layers, *taken.values()):
                times.clear()
    if len(tokens) != 1:
        raise ValueError(f"expected the same token each time, got {tokens}")
    num_bytes = client.render(STATE, where="server").plan.body_bytes
    return Row(
        megabits,
        num_bytes,
        median(first_layers),
        median(arrived),
        median(taken[token_by_layers]),
        median(taken[token_from_whole]),
    )


def table(rows: list[Row]) -> str:
    """Return the rows as a table of milliseconds."""
    headers = [
        "link",
        "render",
        "first layer there",
        "all of it there",
        "first token, by layers",
        "first token, from the whole",
        "saved",
    ]
    return markdown(
        headers,
        [
            [
                f"{row.megabits / 1000:g} Gbit/s",
                f"{row.num_bytes / 1e6:.0f} MB",
                *(
                    f"{seconds * 1e3:.0f} ms"
                    for seconds in (
                        row.first_layer,
                        row.whole_arrived,
                        row.token_by_layers,
                        row.token_from_whole,
                    )
                ),
                f"{1 - row.token_by_layers / row.token_from_whole:.0%}",
            ]
            for row in rows
        ],
    )


def main() -> None:
    """Measure, print, and renew the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=2000, help="tokens of both captures")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()
    model, _ = load_smollm2()
    rows = measure(model, arguments.tokens, arguments.runs)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        console().print(table(rows))
    if arguments.write_docs:
        text = f"Measured: {facts_line()}; medians of {arguments.runs} runs.\n\n{table(rows)}"
        replace_section(PAGE, SECTION, text)


if __name__ == "__main__":
    main()
