"""The flows of renders that the server makes, each held to its receipt.

The receipt is asked for after the render: asked first, the server would have to turn all keys
before it sends a byte, and again to send them. Both ends digest what they have in hand, while it
passes, and the receipt costs one small call.
"""

from __future__ import annotations

from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer
from latentcrdt.client.arriving import ArrivingRender
from latentcrdt.client.calls import RENDER_TYPE
from latentcrdt.client.flows.steps import Download, Flow, Work, ask
from latentcrdt.client.limits import Limits
from latentcrdt.client.meter import Meter, Progress
from latentcrdt.client.plan_checks import check_canonical, check_plan, pinned
from latentcrdt.client.receivers import RenderReceiver
from latentcrdt.client.values import reading
from latentcrdt.core.claims import read_receipt
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.documents import ReceiptDocument
from latentcrdt.core.ids import StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt, RunDigests
from latentcrdt.core.rendered import Render
from latentcrdt.errors import InvalidRequestError


def receipt_for(name: StateName, plan: RenderPlan, query: RenderQuery) -> Flow[Receipt]:
    """Ask for the receipt of exactly this plan, also when the state has grown since.

    ``query`` is what the plan answered: its own, shorter question is tried first. Only if its
    answer is another render by now is each id spelled out. Not of a merge: see `merging`.
    """
    if query.merge is not None:
        raise InvalidRequestError(
            "receipt: expected a query without merge; ask for that of the branches, and "
            "latentcrdt.render.derived.receipt_of makes that of what came of them"
        )
    document: ReceiptDocument = yield from ask(calls.receipt(name, query))
    if _named_render(document) != str(plan.render_id):
        document = yield from ask(calls.receipt(name, pinned(plan)))
    # Tens of thousands of sections take half a second to compare.
    return (yield from ask(Work(partial(read_receipt, document, plan))))


def render_remotely(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    verify: bool,
) -> Flow[Render]:
    """Let the server render; check the answer's plan, and its bytes against the receipt."""
    render, digests = yield from receive(name, query, limits, on_progress, digest=verify)
    if verify:
        receipt = yield from receipt_for(name, render.plan, query)
        receipt.check(digests)
        check_canonical(receipt, query)
    return render


def receive(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    digest: bool,
) -> Flow[tuple[Render, list[RunDigests]]]:
    """Let the server render; return what came, its plan checked, and its digests if wanted."""
    meter = Meter(on_progress)

    def begin(plan: RenderPlan) -> RunDigester | None:
        check_plan(plan, query)
        return RunDigester(plan) if digest else None

    def receiver(head: Answer) -> RenderReceiver:
        meter.total = head.content_length
        return RenderReceiver(head, max_bytes=limits.max_render_bytes, meter=meter, begin=begin)

    path = f"/v1/states/{name}/render"
    download = Download(path, receiver, RENDER_TYPE, query.to_params())
    return (yield from ask(download))


def receive_layers(name: StateName, query: RenderQuery, arriving: ArrivingRender) -> Flow[object]:
    """Let the server render, and hand its layers on as they come."""
    path = f"/v1/states/{name}/render"
    return (yield from ask(Download(path, arriving.receiver, RENDER_TYPE, query.to_params())))


def _named_render(document: ReceiptDocument) -> str:
    with reading("a receipt"):
        return document["plan"]["render_id"]
