"""The flows of branches that a server merges: ask, and hold the answer to its receipt.

The branches are asked for first, and then named: so stream and receipt are about the same ones,
though the state may grow in between.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.flows import rendering
from latentcrdt.client.flows.steps import Flow, Work, ask
from latentcrdt.client.limits import Limits
from latentcrdt.client.merges import merge_named
from latentcrdt.client.meter import Progress
from latentcrdt.client.plan_checks import AnnouncedPlan, check_canonical
from latentcrdt.core.derived import Derived, DerivedReceipt, branches_of
from latentcrdt.core.derived_receipt import read_merge_receipt
from latentcrdt.core.documents import ReceiptDocument
from latentcrdt.core.ids import StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import UnexpectedAnswerError

MAX_NAMED = 500
"""Branches that a question names, 65 characters each: a server takes heads of 64 KiB. With more, an
answer about a state that has grown between two questions is refused, not avoided."""


def merge_remotely(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    verify: bool,
) -> Flow[Derived]:
    """Let the server merge branches; check what came against its receipt.

    Of the rows it is believed that they are what the strategy makes: whoever does not believe it
    merges here.
    """
    named = yield from with_branches_named(name, query)
    asked = question(query, named)
    render, digests = yield from rendering.receive(name, asked, limits, on_progress, digest=verify)
    if verify:
        receipt = yield from receipt_for(name, render.plan, query, named)
        receipt.check(digests)
    source = branches_of(render.plan, named.order or ())
    return Derived(source, merge_named(named, source), render)


def with_branches_named(name: StateName, query: RenderQuery) -> Flow[RenderQuery]:
    """Return a query of a merge with its branches spelled out; any other as it is."""
    if query.merge is None or query.order is not None:
        return query
    announced = AnnouncedPlan.read((yield from ask(calls.plan(name, query.of_branches()))))
    if not announced.order:
        raise UnexpectedAnswerError("expected a plan of branches, got one without any")
    return replace(query, order=announced.order)


def question(query: RenderQuery, named: RenderQuery) -> RenderQuery:
    """Return which of two queries to send: the one that names its branches, unless too many."""
    return query if len(named.order or ()) > MAX_NAMED else named


def receipt_for(
    name: StateName, plan: RenderPlan, query: RenderQuery, named: RenderQuery
) -> Flow[Receipt]:
    """Return the receipt of what a server rendered for ``query``, asked with the branches named.

    Of a merge all of it is checked: that it was made as asked for, of these branches, in canonical
    order unless another was chosen.
    """
    if query.merge is None:
        return (yield from rendering.receipt_for(name, plan, query))
    document = yield from ask(calls.receipt(name, question(query, named)))
    receipt = yield from ask(Work(partial(_read, document, plan, named)))
    check_canonical(receipt.base, query)
    return receipt.render


def _read(document: ReceiptDocument, plan: RenderPlan, named: RenderQuery) -> DerivedReceipt:
    source = branches_of(plan, named.order or ())
    receipt = read_merge_receipt(document, plan, source)
    expected = merge_named(named, source)
    if receipt.derivation != expected:
        raise UnexpectedAnswerError(
            f"render {plan.render_id}: expected a merge by {expected.method} "
            f"{dict(expected.parameters)}, got {receipt.derivation.operation} by "
            f"{receipt.derivation.method} {dict(receipt.derivation.parameters)}"
        )
    return receipt
