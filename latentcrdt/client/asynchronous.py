"""AsyncClient: the same client for programs that run an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, closing
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

import httpx2
import stamina

from latentcrdt.client import calls, sync_calls
from latentcrdt.client.answers import retry_delay
from latentcrdt.client.arriving import ArrivingRender
from latentcrdt.client.blocking import EVERYTHING, Client
from latentcrdt.client.calls import Call
from latentcrdt.client.flows import deriving, fetching, pushing, rendering
from latentcrdt.client.flows.deriving import check_derivable
from latentcrdt.client.flows.rendering_here import Sources, render_locally
from latentcrdt.client.flows.steps import Download, Flow, Several, Step, Work, ask
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.gate import Gate
from latentcrdt.client.meter import Progress
from latentcrdt.client.pushed_body import FragmentBody
from latentcrdt.client.values import PeerStatus, PushResult, StateListing, StateSummary
from latentcrdt.client.wire import (
    DEFAULT_MAX_BYTES,
    DEFAULT_URL,
    RETRY_WAITS,
    Exchange,
    Settings,
    build_request,
    connection_errors,
    head_of,
)
from latentcrdt.client.workers import finished
from latentcrdt.core.derived import Derived, Repair
from latentcrdt.core.documents import PlanDocument, ReceiptDocument
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.fragment_layers import FragmentLayers
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import LatentCRDTError

T = TypeVar("T")
P = ParamSpec("P")


class AsyncClient:
    """A server's states, from an event loop: `Client` with ``await`` before every call.

    Rendering runs in worker threads. Progress is reported on the loop's thread, except where a file
    is written. Bodies go through the HTTP library, which is slower than what `Client` does with
    large ones.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        attempts: int = 4,
        max_fragment_bytes: int = DEFAULT_MAX_BYTES,
        max_render_bytes: int = DEFAULT_MAX_BYTES,
        connections: int | None = None,
        cache: FragmentCache | None = None,
    ) -> None:
        """Take a server's address; ``token`` defaults to the environment's LATENTCRDT_TOKEN.

        A call fetches over so many ``connections`` at once: a large fragment in parts, or several.
        By default that is 4, or 1 at a loopback address.
        With a ``cache`` no fragment is fetched twice, and renders are made here unless asked for
        elsewhere: the same bytes, for less on the wire.
        """
        self._cache = cache
        self._settings = Settings(
            base_url,
            token,
            timeout_s,
            connect_timeout_s,
            attempts,
            max_fragment_bytes,
            max_render_bytes,
            connections,
        )
        self._http = httpx2.AsyncClient(**self._settings.http_options())
        self._blocking: Client | None = None
        """For what arrives in a thread; made when it is first needed."""

    async def states(self) -> list[StateSummary]:
        """Return the names, roots and sizes of all states."""
        return await self._ask(calls.states())

    async def state(self, name: str) -> StateListing:
        """Return a state's members; their root was checked."""
        return await self._ask(calls.state(StateName(name)))

    async def declare(self, name: str, *, expires_at: int | None = None) -> bool:
        """Make a state exist, or last until ``expires_at`` (Unix seconds); whether that was new."""
        return await self._ask(calls.declare(StateName(name), expires_at))

    async def retract(self, name: str) -> bool:
        """End a state for good, on every replica; return whether it had not ended yet."""
        return await self._ask(calls.retract(StateName(name)))

    async def push(
        self, name: str, fragment: Fragment | Path | str, *, on_progress: Progress | None = None
    ) -> PushResult:
        """Make a fragment a member of a state; as `Client.push`."""
        flow = pushing.push(StateName(name), fragment, on_progress, is_inviting=False)
        return await self._run(flow)

    async def insert(self, name: str, fragment_id: FragmentId) -> bool:
        """Make a fragment that the server holds a member; return whether the state grew."""
        return await self._ask(calls.insert(StateName(name), fragment_id))

    async def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids whose fragments the server lacks."""
        return await self._run(pushing.missing(list(ids)))

    async def fetch(
        self, fragment_id: FragmentId, *, on_progress: Progress | None = None
    ) -> Fragment:
        """Return a fragment, verified while it arrived."""
        return await self._run(fetching.fetch(fragment_id, self._settings.limits, on_progress))

    async def fetch_to(
        self, fragment_id: FragmentId, path: Path | str, *, on_progress: Progress | None = None
    ) -> FragmentHeader:
        """Write a fragment to a file that appears only when it is whole and verified."""
        limits = self._settings.limits
        return await self._run(fetching.fetch_to(fragment_id, Path(path), limits, on_progress))

    async def fetch_layers(
        self, fragment_id: FragmentId, layers: str, *, on_progress: Progress | None = None
    ) -> FragmentLayers:
        """Return some layers of a fragment, verified; as `Client.fetch_layers`."""
        limits = self._settings.limits
        return await self._run(fetching.fetch_layers(fragment_id, layers, limits, on_progress))

    async def plan(self, name: str, query: RenderQuery = EVERYTHING) -> PlanDocument:
        """Return the plan of a render: order, positions and sizes."""
        return await self._ask(calls.plan(StateName(name), query))

    async def receipt(self, name: str, query: RenderQuery = EVERYTHING) -> ReceiptDocument:
        """Return the receipt of a render, as the server spells it now."""
        return await self._ask(calls.receipt(StateName(name), query))

    async def receipt_for(
        self, name: str, plan: RenderPlan, query: RenderQuery = EVERYTHING
    ) -> Receipt:
        """Return the receipt of exactly this plan, also when the state has grown since."""
        return await self._run(rendering.receipt_for(StateName(name), plan, query))

    async def render(
        self,
        name: str,
        query: RenderQuery = EVERYTHING,
        *,
        where: Literal["server", "client"] | None = None,
        verify: bool = True,
        held: Mapping[FragmentId, Fragment] | None = None,
        previous: Render | None = None,
        repair: Repair | None = None,
        on_progress: Progress | None = None,
    ) -> Render:
        """Return the render of a state; as `Client.render`."""
        if repair is not None or query.merge is not None:
            check_derivable(previous)
            derived = await self.derive(
                name,
                query,
                repair=repair,
                where=where,
                verify=verify,
                held=held,
                on_progress=on_progress,
            )
            return derived.render
        state, limits = StateName(name), self._settings.limits
        sources = Sources(held or {}, self._cache, previous)
        if where == "client" or (where is None and sources.make_it_cheaper_here(query)):
            flow = render_locally(state, query, limits, on_progress, sources)
        else:
            flow = rendering.render_remotely(state, query, limits, on_progress, verify=verify)
        return await self._run(flow)

    async def render_layers(
        self, name: str, query: RenderQuery = EVERYTHING, *, verify: bool = True
    ) -> ArrivingRender:
        """Return the render of a state while it still arrives; as `Client.render_layers`.

        Whoever takes its layers waits for them: let the model run in a worker thread. They arrive
        in a thread, too, over connections of a `Client`.
        """
        if self._blocking is None:
            self._blocking = Client(**asdict(self._settings))
        return await asyncio.to_thread(self._blocking.render_layers, name, query, verify=verify)

    async def derive(
        self,
        name: str,
        query: RenderQuery = EVERYTHING,
        *,
        repair: Repair | None = None,
        where: Literal["server", "client"] | None = None,
        verify: bool = True,
        held: Mapping[FragmentId, Fragment] | None = None,
        on_progress: Progress | None = None,
    ) -> Derived:
        """Return a render whose rows were made, and of what; as `Client.derive`."""
        flow = deriving.derive(
            StateName(name),
            query,
            self._settings.limits,
            on_progress,
            sources=Sources(held or {}, self._cache, None),
            repair=repair,
            where=where,
            verify=verify,
        )
        return await self._run(flow)

    async def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Return the roots of all states; where the feed stands, if their digest is ``known``."""
        return await self._ask(sync_calls.roots(known))

    async def changes(self, after: Cursor | None = None) -> FeedPage:
        """Return a page of what the server learned since a cursor; CursorExpiredError."""
        return await self._ask(sync_calls.changes(after))

    async def compare(self, name: str, question: Question) -> SyncAnswer:
        """Return the nodes of a state's id tree that a question asks for."""
        return await self._ask(sync_calls.compare(StateName(name), question))

    async def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Hand a fragment's file to ``write`` as it comes: whoever takes it has to verify it."""
        return await self._run(fetching.pour(fragment_id, write))

    async def peers(self) -> list[PeerStatus]:
        """Return how the server stands with each of its peers."""
        return await self._ask(calls.peers())

    async def close(self) -> None:
        """Close the connections."""
        if self._blocking is not None:
            self._blocking.close()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, call: Call[T]) -> T:
        return await self._run(ask(call))

    async def _run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps until it returns; closing it undoes what it left half done."""
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    try:
                        result = await self._perform(step)
                    except LatentCRDTError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except StopIteration as stop:
                returned: T = stop.value
                return returned

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Work):
            return await _in_thread(step.function)
        if isinstance(step, Several):
            return await self._at_once(step)
        exchange = Exchange.of(step, Gate())
        async for attempt in stamina.retry_context(
            on=retry_delay, attempts=self._settings.attempts, **RETRY_WAITS
        ):
            with attempt:
                return await self._attempt(exchange)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _at_once(self, step: Several[T]) -> list[T]:
        room = asyncio.Semaphore(step.num_at_once)

        async def one(flow: Flow[T]) -> T:
            async with room:
                return await self._run(flow)

        tasks = [asyncio.create_task(one(flow)) for flow in step.flows]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # Those that are still running after one has failed: nothing goes on behind the caller.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _attempt(self, exchange: Exchange) -> Any:
        step: Call[Any] | Download[Any] = exchange.step
        body = step.body if isinstance(step, Call) else None
        content = _AsyncBody(body) if isinstance(body, FragmentBody) else body
        is_blocking = isinstance(step, Download) and step.is_blocking
        intake = exchange.intake
        request = build_request(self._http, exchange, content)
        with connection_errors(request):
            response = await self._http.send(request, stream=True)
            async with aclosing(response):
                intake.begin(head_of(response))
                async for data in response.aiter_raw():
                    if is_blocking:
                        await _in_thread(intake.feed, data)
                    else:
                        intake.feed(data)
        return intake.finish()


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread, and leave only when it has ended, also when cancelled."""
    run = partial(copy_context().run, function, *args, **kwargs)
    # No task: those are cancelled when a loop ends, and would leave their threads behind.
    return await finished(asyncio.get_running_loop().run_in_executor(None, run))


class _AsyncBody:
    """A fragment body as httpx2 wants it on an event loop; no slice is ever waited for."""

    def __init__(self, body: FragmentBody) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in self._body:
            yield piece
