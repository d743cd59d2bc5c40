"""Measure each repair on SmolLM2 and write the table into docs/repair.md.

Every paragraph of a prompt is captured alone; the fragments are rendered in canonical order. The
measure is a prefill of the same tokens in the same order: how far are the logits behind the
question, and how long does it take? Needs the model (extra `demo`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.agents.repair import APE, CacheBlend, LegoLink, Reprefill
from latentcrdt.core.derived import Repair
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.rendered import Render
from latentcrdt.hf import capture, decode_inputs, load_smollm2
from latentcrdt.hf.layers import new_cache
from latentcrdt.hf.prefill import evaluation, prefill
from latentcrdt.render.derived import derive
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render
from scripts.machine_facts import machine_facts
from scripts.marked_section import markdown, replace_section

PAGE = Path(__file__).parents[2] / "docs" / "repair.md"
PROMPTS = Path(__file__).with_name("prompts.txt")
PREAMBLE = "Read the following notes, which are in no particular order, and answer the question.\n"


@dataclass(frozen=True)
class Case:
    """One prompt: its paragraphs as fragments, and what a prefill of all of them says."""

    plan: RenderPlan
    parallel: RenderPlan
    fragments: Mapping[FragmentId, Fragment]
    question: list[int]
    dense_logits: torch.Tensor
    """``[Q, V]``: behind every token of the question."""
    dense_s: float


@dataclass(frozen=True)
class Outcome:
    """What one way of merging gave on one prompt."""

    share: float
    """Of the tokens behind the prefix, those computed again."""
    seconds: float
    logits: torch.Tensor


def read_prompts() -> list[tuple[list[str], str]]:
    """Return the paragraphs of each prompt and its question."""
    prompts = []
    for text in PROMPTS.read_text(encoding="utf-8").split("===\n"):
        *paragraphs, question = text.strip().split("\n\n")
        prompts.append(([paragraph + "\n\n" for paragraph in paragraphs], question))
    return prompts


def make_case(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    paragraphs: list[str],
    question: str,
    *,
    shared_prefix: bool,
) -> Case:
    """Capture the paragraphs, alone or behind the preamble, and prefill all of them."""
    prefix = [capture(model, tokenizer, PREAMBLE)] if shared_prefix else []
    captured = [capture(model, tokenizer, text, prefix=prefix or None) for text in paragraphs]
    held = {fragment.fragment_id: fragment for fragment in (*prefix, *captured)}
    ids = canonical_order((sort_key(f), f.fragment_id) for f in captured)
    headers, prefixes = [held[i].header for i in ids], [p.header for p in prefix]
    tokens = [t for header in (*prefixes, *headers) for t in header.token_ids or ()]
    asked = tokenizer(question, add_special_tokens=False)["input_ids"]

    def dense() -> None:
        prefill(model, tokens, position=0, cache=new_cache(model))

    with evaluation(model):
        logits = model(input_ids=torch.tensor([[*tokens, *asked]])).logits[0, -len(asked) :]
    return Case(
        place(headers, prefixes),
        place(headers, prefixes, layout=Layout.PARALLEL),
        held,
        asked,
        logits.double(),
        timed(dense),
    )


def timed(run: Callable[[], object], runs: int = 3) -> float:
    """Return the median seconds of some runs."""
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return median(seconds)


def ask(
    model: PreTrainedModel,
    rendered: Render,
    question: list[int],
    attention: AbstractContextManager[None] | None = None,
) -> torch.Tensor:
    """Return the logits ``[Q, V]`` behind every token of the question."""
    with evaluation(model), attention or nullcontext():
        logits: torch.Tensor = model(**decode_inputs(rendered, model, question)).logits[0]
    return logits.double()


def unrepaired(model: PreTrainedModel, case: Case) -> Outcome:
    """Decode from the render as it is."""
    seconds = timed(lambda: render(case.plan, case.fragments))
    return Outcome(0, seconds, ask(model, render(case.plan, case.fragments), case.question))


def parallel(model: PreTrainedModel, case: Case, ape: APE) -> Outcome:
    """Decode from the parallel layout."""
    rendered = render(case.parallel, case.fragments)
    seconds = timed(lambda: render(case.parallel, case.fragments))
    return Outcome(
        0, seconds, ask(model, rendered, case.question, ape.attention(model, case.parallel))
    )


def repaired(model: PreTrainedModel, case: Case, repair: Repair) -> Outcome:
    """Decode from a repaired render."""
    derived = derive(repair, case.plan, case.fragments)
    seconds = timed(lambda: repair.apply(case.plan, case.fragments))
    total = case.plan.next_position - case.plan.base
    match repair:
        case LegoLink():
            share = len(repair.select(case.plan)) / total
        case CacheBlend():
            share = round(repair.share * total) / total
        case _:
            share = 1.0
    return Outcome(share, seconds, ask(model, derived.render, case.question))


def row(name: str, cases: list[Case], outcomes: list[Outcome]) -> list[str]:
    """Return a line of the table: means over the prompts, at the question's last token."""
    differences = [
        (outcome.logits[-1] - case.dense_logits[-1]).abs()
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    divergences = [
        divergence(case.dense_logits, outcome.logits)
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    agreed = [
        float((case.dense_logits.argmax(-1) == outcome.logits.argmax(-1)).double().mean())
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    seconds = mean(o.seconds / c.dense_s for c, o in zip(cases, outcomes, strict=True))
    return [
        name,
        f"{mean(o.share for o in outcomes):.0%}",
        f"{seconds:.2f}",
        f"{mean(float(d.max()) for d in differences):.2g}",
        f"{mean(float(d.mean()) for d in differences):.2g}",
        f"{mean(float(d[-1]) for d in divergences):.2g}",
        f"{mean(float(d.mean()) for d in divergences):.2g}",
        f"{mean(agreed):.0%}",
    ]


def divergence(expected: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """Return KL(expected, actual) in nats ``[Q]`` of the next token's distributions."""
    log_p, log_q = expected.log_softmax(-1), actual.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, shared_prefix: bool
) -> list[list[str]]:
    """Return the lines of the table for fragments captured alone, or behind the preamble."""
    prompts = read_prompts()
    cases = [
        make_case(model, tokenizer, paragraphs, question, shared_prefix=shared_prefix)
        for paragraphs, question in prompts
    ]
    ways: dict[str, Callable[[Case], Outcome]] = {
        "unrepaired": lambda case: unrepaired(model, case),
        "parallel": lambda case: parallel(model, case, APE(1, 1)),
        "parallel, APE": lambda case: parallel(model, case, APE()),
        **{
            f"LegoLink-{rows}": lambda case, rows=rows: repaired(model, case, LegoLink(model, rows))
            for rows in (4, 8, 16, 32)
        },
        **{
            f"CacheBlend-{share}": lambda case, share=share: repaired(
                model, case, CacheBlend(model, share)
            )
            for share in (0.05, 0.15, 0.3, 0.5)
        },
        "full re-prefill": lambda case: repaired(model, case, Reprefill(model)),
    }
    suffix = ", prefix" if shared_prefix else ""
    lines = []
    for name, way in ways.items():
        lines.append(row(name + suffix, cases, [way(case) for case in cases]))
        print("  ".join(lines[-1]), flush=True)
    return lines


def main() -> None:
    """Measure, print, and write the page's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    model, tokenizer = load_smollm2()
    lengths = [
        [len(tokenizer(paragraph)["input_ids"]) for paragraph in paragraphs]
        for paragraphs, _ in read_prompts()
    ]
    headers = [
        "fragments",
        "tokens again",
        "time / prefill",
        "max of logit difference",
        "mean",
        "KL, next token",
        "KL, question",
        "same argmax",
    ]
    lines = [
        line for shared in (False, True) for line in measure(model, tokenizer, shared_prefix=shared)
    ]
    facts = "; ".join(f"{name}: {value}" for name, value in machine_facts().items())
    described = ", ".join(f"{sum(n)} in {len(n)}" for n in lengths)
    text = (
        f"{markdown(headers, lines)}\nSmolLM2-135M-Instruct, f32, {torch.get_num_threads()} "
        f"threads; prompts of tokens in paragraphs: {described}. {facts}.\n"
    )
    print(text)
    if not options.dry_run:
        replace_section(PAGE, "repairs", text)


if __name__ == "__main__":
    main()
