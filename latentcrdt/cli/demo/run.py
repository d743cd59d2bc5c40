"""The demo, step by step: capture, push, converge, render, decode."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from latentcrdt_server.child_process import ServerProcess
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.cli.demo.report import Report
from latentcrdt.cli.demo.story import FACTS, INSTRUCTIONS, MAX_NEW_TOKENS, QUESTION
from latentcrdt.cli.output import short, size
from latentcrdt.client import Client
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.hf import capture, generate, load_smollm2

STATE = "demo"

DELIVERIES = 3
"""How often each agent's fragment is pushed to each server."""


def run(report: Report) -> None:
    """Run every step; whatever ends it, both servers are stopped and their data removed."""
    # On a machine that is busy with anything else, torch's threads wait for each other: decoding
    # with two of them on two cores took ten times as long as with one (45 s against 3).
    torch.set_num_threads(1)
    narrator = report.narrator
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latentcrdt-demo-")))
        # Started first: they come up while the model is loaded.
        servers = [stack.enter_context(ServerProcess(scratch / name)) for name in ("1", "2")]
        with narrator.step("Load SmolLM2-135M-Instruct"):
            model, tokenizer = load_smollm2(on_progress=narrator.note)
        with narrator.step("Start two servers"):
            clients = [stack.enter_context(Client(server.url)) for server in servers]
            for server in servers:
                narrator.note(server.url)
        with narrator.step("Two agents read one fact each, behind the same instructions"):
            fragments = _capture(report, model, tokenizer)
        with narrator.step(f"Push in opposite orders, everything {DELIVERIES} times"):
            _push(report, clients, list(fragments.values()))
        with narrator.step("Render on both servers, and here from the fragments"):
            canonical = _render(report, clients)
        with narrator.step("BagMerge instead: the caller's order"):
            _bag_merge(report, clients[0], canonical, fragments)
        with narrator.step("The last agent answers, from the render and from plain text"):
            _answer(report, model, tokenizer, canonical, fragments)
        with narrator.step("Stop both servers"):
            for client in clients:
                client.close()
            statuses = [server.stop() for server in servers]
            report.check(
                "clean_shutdown",
                f"both servers finished and ended with status 0: {statuses}",
                statuses == [0, 0],
            )


def _capture(
    report: Report, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Fragment]:
    prefix = capture(model, tokenizer, INSTRUCTIONS)
    fragments = {"prefix": prefix}
    for agent, fact in FACTS.items():
        fragments[agent] = capture(model, tokenizer, fact, prefix=prefix)
    for name, fragment in fragments.items():
        what = "instructions" if name == "prefix" else f"agent {name}"
        report.narrator.note(
            f"{what}: {fragment.header.seq_len} tokens, {size(fragment.num_bytes)}, "
            f"fragment {short(fragment.fragment_id)}"
        )
        if name in FACTS:
            report.narrator.note(f"  {FACTS[name].strip()}")
    report.facts["fragments"] = {name: str(f.fragment_id) for name, f in fragments.items()}
    return fragments


def _push(report: Report, clients: list[Client], fragments: list[Fragment]) -> None:
    orders = (fragments, fragments[::-1])
    grown = []
    for client, order in zip(clients, orders, strict=True):
        results = [client.push(STATE, fragment) for fragment in order * DELIVERIES]
        grown.append(sum(result.created for result in results))
        report.narrator.note(
            f"{len(results)} pushes: the state grew {grown[-1]} times, "
            f"{sum(result.sent for result in results)} bodies had to be sent"
        )
    listings = [client.state(STATE) for client in clients]
    roots = [listing.root for listing in listings]
    counts = [len(listing.members) for listing in listings]
    report.facts["roots"] = [str(root) for root in roots]
    report.check(
        "redelivery_absorbed",
        f"repeated pushes changed nothing: {counts} members",
        grown == counts == [len(fragments)] * 2,
    )
    report.check("equal_roots", f"equal roots: {_both(roots)}", roots[0] == roots[1])


def _render(report: Report, clients: list[Client]) -> Render:
    first, second = (client.render(STATE) for client in clients)
    local = clients[1].render(STATE, where="client")
    digests = [str(rendered.digest) for rendered in (first, second, local)]
    plan = first.plan
    report.facts["render_id"] = str(plan.render_id)
    report.facts["render_digests"] = dict(
        zip(("server_1", "server_2", "client"), digests, strict=True)
    )
    report.narrator.note(
        f"render {short(plan.render_id)}: {plan.num_tokens} tokens, "
        f"{size(len(plan.framing) + plan.body_bytes)}, next position {plan.next_position}"
    )
    report.check(
        "equal_renders",
        f"equal renders of both servers: {_both(digests[:2])}",
        digests[0] == digests[1],
    )
    report.check(
        "equal_local_render",
        f"equal again when rendered here from the fragments: {short(digests[2])}",
        digests[2] == digests[0],
    )
    return first


def _bag_merge(
    report: Report, client: Client, canonical: Render, fragments: dict[str, Fragment]
) -> None:
    digests = {}
    for names in ("AB", "BA"):
        order: tuple[FragmentId, ...] = tuple(fragments[name].fragment_id for name in names)
        digests[names] = client.render(STATE, RenderQuery(order=order)).digest
    report.facts["bag_merge_digests"] = {names: str(d) for names, d in digests.items()}
    equal = [names for names, digest in digests.items() if digest == canonical.digest]
    report.check(
        "bag_merge_orders_differ",
        f"the order shows in the bytes: AB {short(digests['AB'])}, BA {short(digests['BA'])}",
        digests["AB"] != digests["BA"],
    )
    report.check(
        "canonical_is_one_order",
        f"the canonical render is exactly one of them: {', '.join(equal) or 'none'}",
        len(equal) == 1,
    )


def _answer(
    report: Report,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    canonical: Render,
    fragments: dict[str, Fragment],
) -> None:
    names = {fragment.fragment_id: name for name, fragment in fragments.items()}
    ordered = [names[placement.fragment_id] for placement in canonical.plan.placements]
    options = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False}
    answers = {
        "from_render": generate(model, tokenizer, canonical, QUESTION, **options),
        "from_text": _generate_from_text(
            model, tokenizer, INSTRUCTIONS + "".join(FACTS[name] for name in ordered) + QUESTION
        ),
    }
    report.facts["answers"] = answers
    report.narrator.note(QUESTION.partition("<|")[0])
    report.narrator.note(f"from the render: {answers['from_render'].strip()}")
    report.narrator.note(f"from plain text: {answers['from_text'].strip()}")
    report.narrator.note("(135 million parameters: expect neither answer to be right)")


def _generate_from_text(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str
) -> str:
    """Return what the model answers to the same notes and question as ordinary text."""
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    run_model: Any = model.generate  # typed by transformers as a tensor, as any module attribute
    sequences = run_model(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    answer = tokenizer.decode(
        sequences[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return str(answer)


def _both(values: Sequence[object]) -> str:
    return " and ".join(short(value) for value in values)
