"""Client: the blocking client of a latentcrdt server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx2
import stamina

from latentcrdt.client import calls, sync_calls
from latentcrdt.client.answers import retry_delay
from latentcrdt.client.arriving import ArrivingRender
from latentcrdt.client.calls import Call
from latentcrdt.client.direct.connections import DirectConnections, is_reached_directly
from latentcrdt.client.flows import deriving, fetching, merging, pushing, rendering
from latentcrdt.client.flows.deriving import check_derivable
from latentcrdt.client.flows.rendering_here import Sources, render_locally
from latentcrdt.client.flows.steps import Download, Flow, Several, Step, Work, ask
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.gate import Gate
from latentcrdt.client.intake import Intake
from latentcrdt.client.meter import Progress
from latentcrdt.client.pushed_body import FragmentBody
from latentcrdt.client.side_by_side import side_by_side
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

EVERYTHING = RenderQuery()
"""CanonicalMerge of all fragments, one after another."""


class Client:
    """A server's states, from here; may be shared by threads.

    Every method raises the error class that the server raised, ConnectionFailedError when no
    answer came (after several attempts), UnexpectedAnswerError when it was none of this API's.
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
        By default that is 4, or 1 at a loopback address. Progress is then reported from several
        threads, one at a time.
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
        self._http = httpx2.Client(**self._settings.http_options())
        url = self._http.base_url
        self._direct = DirectConnections(url, self._settings) if is_reached_directly(url) else None

    def states(self) -> list[StateSummary]:
        """Return the names, roots and sizes of all states."""
        return self._ask(calls.states())

    def state(self, name: str) -> StateListing:
        """Return a state's members; their root was checked."""
        return self._ask(calls.state(StateName(name)))

    def declare(self, name: str, *, expires_at: int | None = None) -> bool:
        """Make a state exist, or last until ``expires_at`` (Unix seconds); whether that was new."""
        return self._ask(calls.declare(StateName(name), expires_at))

    def retract(self, name: str) -> bool:
        """End a state for good, on every replica; return whether it had not ended yet."""
        return self._ask(calls.retract(StateName(name)))

    def push(
        self, name: str, fragment: Fragment | Path | str, *, on_progress: Progress | None = None
    ) -> PushResult:
        """Make a fragment, or the one in a file, a member of a state.

        The body is sent only if the server lacks it. When this returns, the membership is durable.
        """
        is_inviting = self._direct is not None and self._direct.is_inviting
        return self._run(
            pushing.push(StateName(name), fragment, on_progress, is_inviting=is_inviting)
        )

    def insert(self, name: str, fragment_id: FragmentId) -> bool:
        """Make a fragment that the server holds a member; return whether the state grew."""
        return self._ask(calls.insert(StateName(name), fragment_id))

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids whose fragments the server lacks."""
        return self._run(pushing.missing(list(ids)))

    def fetch(self, fragment_id: FragmentId, *, on_progress: Progress | None = None) -> Fragment:
        """Return a fragment, verified while it arrived."""
        return self._run(fetching.fetch(fragment_id, self._settings.limits, on_progress))

    def fetch_to(
        self, fragment_id: FragmentId, path: Path | str, *, on_progress: Progress | None = None
    ) -> FragmentHeader:
        """Write a fragment to a file that appears only when it is whole and verified."""
        limits = self._settings.limits
        return self._run(fetching.fetch_to(fragment_id, Path(path), limits, on_progress))

    def fetch_layers(
        self, fragment_id: FragmentId, layers: str, *, on_progress: Progress | None = None
    ) -> FragmentLayers:
        """Return the layers ``a <= layer < b`` of a fragment, for ``a:b``; no others are sent.

        Each section is verified by its digest in the header, and the header by the id. Raises
        RangeNotSatisfiableError for layers that the fragment does not have.
        """
        limits = self._settings.limits
        return self._run(fetching.fetch_layers(fragment_id, layers, limits, on_progress))

    def plan(self, name: str, query: RenderQuery = EVERYTHING) -> PlanDocument:
        """Return the plan of a render: order, positions and sizes."""
        return self._ask(calls.plan(StateName(name), query))

    def receipt(self, name: str, query: RenderQuery = EVERYTHING) -> ReceiptDocument:
        """Return the receipt of a render, as the server spells it now."""
        return self._ask(calls.receipt(StateName(name), query))

    def receipt_for(self, name: str, plan: RenderPlan, query: RenderQuery = EVERYTHING) -> Receipt:
        """Return the receipt of exactly this plan, also when the state has grown since.

        ``query`` is what the plan answered.
        """
        return self._run(rendering.receipt_for(StateName(name), plan, query))

    def render(
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
        """Return the render of a state: the same bytes, wherever it is made.

        By default it is made where less has to be sent: here, if a cache, fragments ``held`` or a
        ``previous`` render can spare some of it. ``server`` streams it from there and, if
        ``verify``, compares every digest with the receipt. ``client`` fetches the fragments (but
        those ``held``: verified ones), checks ids, order and render id, and renders here. What a
        ``previous`` render of the same class holds is neither fetched nor turned again; that
        render is believed, and `Reuse` says what it gave. With a ``repair``, or a query that says
        how branches are merged, it is the render that `derive` returns.
        """
        if repair is not None or query.merge is not None:
            check_derivable(previous)
            derived = self.derive(
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
        return self._run(flow)

    def render_layers(
        self, name: str, query: RenderQuery = EVERYTHING, *, verify: bool = True
    ) -> ArrivingRender:
        """Return the render of a state while it still arrives from the server, layer by layer.

        For `latentcrdt.hf.load_cache`: the model computes on the first layers while the others are
        on their way. If ``verify``, every layer is compared with the receipt before it is given
        out. Use it as a context manager; what goes wrong on the way is raised by the layer that it
        keeps from coming.
        """
        state = StateName(name)
        named = self._run(merging.with_branches_named(state, query))
        asked = merging.question(query, named)
        arriving = ArrivingRender(asked, max_bytes=self._settings.max_render_bytes, verify=verify)
        arriving.receive(lambda: self._run(rendering.receive_layers(state, asked, arriving)))
        try:
            plan = arriving.plan
            if verify:
                arriving.believe(self._run(merging.receipt_for(state, plan, query, named)))
        except BaseException:
            arriving.close()
            raise
        return arriving

    def derive(
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
        """Return a render whose rows were made, and what they were made of.

        Either a ``repair`` computes some rows again, or the query says how branches are merged.
        What a repair makes is named by what it is made of: if a replica of the server made it
        before, it is fetched; otherwise it is made here, from the fragments (but those ``held``),
        and left for others, unless the server refuses that. Of several results of several machines
        everyone takes the one with the smallest id. A merge is the same bytes wherever it is made:
        ``where`` and ``verify`` as in `render`. Raises what the repair or the merge raises.
        """
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
        return self._run(flow)

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Return the roots of all states; where the feed stands, if their digest is ``known``."""
        return self._ask(sync_calls.roots(known))

    def changes(self, after: Cursor | None = None) -> FeedPage:
        """Return a page of what the server learned since a cursor; CursorExpiredError."""
        return self._ask(sync_calls.changes(after))

    def compare(self, name: str, question: Question) -> SyncAnswer:
        """Return the nodes of a state's id tree that a question asks for."""
        return self._ask(sync_calls.compare(StateName(name), question))

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Hand a fragment's file to ``write`` as it comes: whoever takes it has to verify it."""
        return self._run(fetching.pour(fragment_id, write))

    def peers(self) -> list[PeerStatus]:
        """Return how the server stands with each of its peers."""
        return self._ask(calls.peers())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._direct is not None:
            self._direct.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        return self._run(ask(call))

    def _run(self, flow: Flow[T], gate: Gate | None = None) -> T:
        """Perform a flow's steps until it returns; closing it undoes what it left half done."""
        gate = gate or Gate()
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    try:
                        result = self._perform(step, gate)
                    except LatentCRDTError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except StopIteration as end:
                returned: T = end.value
                return returned

    def _perform(self, step: Step, gate: Gate) -> Any:
        if isinstance(step, Work):
            with gate.passing():
                return step.function()
        if isinstance(step, Several):
            return side_by_side(self._run, step.flows, step.num_at_once, gate)
        exchange = Exchange.of(step, gate)
        for attempt in stamina.retry_context(
            on=retry_delay, attempts=self._settings.attempts, **RETRY_WAITS
        ):
            with attempt:
                with gate.passing():
                    pass  # no further attempt is made for a call that has ended
                return self._attempt(exchange)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, exchange: Exchange) -> Any:
        step: Call[Any] | Download[Any] = exchange.step
        # httpx2 says bytes, and passes any buffer on to h11, which copies it once.
        body: Any = step.body if isinstance(step, Call) else None
        request = build_request(self._http, exchange, body)
        is_large = isinstance(step, Download) or isinstance(body, FragmentBody)
        if is_large and self._direct is not None:
            self._direct.exchange(request, body, exchange.intake)
        else:
            self._exchange(request, exchange.intake)
        return exchange.intake.finish()

    def _exchange(self, request: httpx2.Request, intake: Intake[Any]) -> None:
        with (
            connection_errors(request),
            closing(self._http.send(request, stream=True)) as response,
        ):
            intake.begin(head_of(response))
            for data in response.iter_raw():
                intake.feed(data)
