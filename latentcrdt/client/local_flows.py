"""The flow of a render that is made here: fetch what it takes and no more, then do it all again.

With an earlier render in hand, a fragment whose rows it holds is not fetched. Its header is, and
where the order is canonical the layer that its sort key is computed from: so the server is believed
no more than without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer
from latentcrdt.client.body import Meter, Progress
from latentcrdt.client.flows import Download, Flow, Limits, Work, ask, fetch
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.local_render import AnnouncedPlan, check_order, plan_again, render_here
from latentcrdt.client.receivers import LayerReceiver
from latentcrdt.core.container import FRAGMENT_MAGIC, PREAMBLE_BYTES, read_preamble
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.errors import DigestMismatchError, TooLargeError, TruncatedError

OCTETS_TYPE = "application/octet-stream"

HEADER_GUESS_BYTES = 64 * 1024
"""The header of 12,000 tokens of a large model; a longer one costs a second question."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is here already, so that it need not be fetched."""

    held: Mapping[FragmentId, Fragment]
    cache: FragmentCache | None
    previous: Render | None

    def make_it_cheaper_here(self, query: RenderQuery) -> bool:
        """Return whether less has to be sent for a render that is made here.

        The fragments of a render weigh what it does, so without any of them it is the same; for a
        few layers they weigh more.
        """
        return query.layers is None and bool(
            self.held or self.cache is not None or self.previous is not None
        )


def render_locally(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    sources: Sources,
) -> Flow[Render]:
    """Get the plan and what is lacking of its fragments, then do the server's work again."""
    announced = AnnouncedPlan.read((yield from ask(calls.plan(name, query))))
    needed = dict.fromkeys((*announced.prefixes, *announced.order))
    previous = sources.previous
    fetcher = Fetcher(sources, limits, on_progress)
    seen = set() if previous is None else set(_ids(previous))
    yield from fetcher.fetch(i for i in needed if i not in seen)
    headers = {}
    for fragment_id in needed:
        fragment = fetcher.fragments.get(fragment_id)
        headers[fragment_id] = (
            (yield from fetch_header(fragment_id)) if fragment is None else fragment.header
        )
    plan = plan_again(announced, query, headers, limits.max_render_bytes)
    if previous is not None:
        yield from fetcher.fetch(Reuse(plan, previous.plan).lacking)
    if query.order is None:
        yield from order_checked(plan, headers, fetcher.fragments)
    return (yield from ask(Work(lambda: render_here(plan, fetcher.fragments, previous))))


def order_checked(
    plan: RenderPlan,
    headers: Mapping[FragmentId, FragmentHeader],
    held: Mapping[FragmentId, Fragment],
) -> Flow[None]:
    """Raise UnexpectedAnswerError unless a plan's order is canonical.

    Of a fragment that is not held, the layer that its sort key is computed from is fetched.
    """
    layer = plan.geometry.key_layer
    sections = {}
    for placement in plan.placements:
        fragment = held.get(placement.fragment_id)
        sections[placement.fragment_id] = (
            (yield from fetch_layer(headers[placement.fragment_id], layer))
            if fragment is None
            else fragment.keys(layer)
        )
    yield from ask(Work(lambda: check_order(plan, sections)))


def fetch_header(fragment_id: FragmentId) -> Flow[FragmentHeader]:
    """Fetch a fragment's header alone; the id is its hash."""
    data = yield from ask(calls.fragment_start(fragment_id, HEADER_GUESS_BYTES))
    stop = PREAMBLE_BYTES + read_preamble(FRAGMENT_MAGIC, data)
    if len(data) < stop and len(data) == HEADER_GUESS_BYTES:
        data = yield from ask(calls.fragment_start(fragment_id, stop))
    if len(data) < stop:
        raise TruncatedError(f"fragment {fragment_id}: the file ended inside its header")
    header = FragmentHeader.decode(data[PREAMBLE_BYTES:stop])
    if header.fragment_id != fragment_id:
        raise DigestMismatchError(
            f"expected fragment {fragment_id}, got {header.fragment_id}",
            expected=str(fragment_id),
            actual=str(header.fragment_id),
        )
    return header


def fetch_layer(header: FragmentHeader, layer: int) -> Flow[memoryview]:
    """Fetch one layer of a fragment; return its verified K ``[H, T, D]``."""

    def receiver(_head: Answer) -> LayerReceiver:
        return LayerReceiver(header, layer)

    path, params = f"/v1/fragments/{header.fragment_id}", {"layers": f"{layer}:{layer + 1}"}
    return (yield from ask(Download(path, receiver, OCTETS_TYPE, params)))


class Fetcher:
    """The whole fragments of one render, and how many bytes they took."""

    def __init__(self, sources: Sources, limits: Limits, on_progress: Progress | None) -> None:
        self.fragments = dict(sources.held)
        self._cache = sources.cache
        self._limits = limits
        self._is_watched = on_progress is not None
        self._meter = Meter(on_progress)
        self._done = 0

    def look_up(self, ids: Iterable[FragmentId]) -> Flow[list[FragmentId]]:
        """Take what the cache holds; return the ids of those that would have to be fetched."""
        lacking = [i for i in ids if i not in self.fragments]
        if self._cache is None:
            return lacking
        found = yield from ask(Work(partial(_look_up, self._cache, lacking)))
        self.fragments |= found
        return [i for i in lacking if i not in found]

    def fetch(self, ids: Iterable[FragmentId]) -> Flow[None]:
        """Fetch those that are not here yet, verified while they arrive."""
        lacking = yield from self.look_up(ids)
        if self._is_watched:
            for fragment_id in lacking:
                self._meter.total += yield from ask(calls.fragment_bytes(fragment_id))
        for fragment_id in lacking:
            progress = self._meter.after(self._done)
            fragment = yield from fetch(fragment_id, self._limits, progress)
            self.fragments[fragment_id] = fragment
            if self._cache is not None:
                yield from ask(Work(partial(self._cache.put, fragment)))
            self._done += fragment.num_bytes
            if self._done > self._limits.max_render_bytes:
                raise TooLargeError(
                    f"expected fragments of at most {self._limits.max_render_bytes} bytes for one "
                    f"render",
                    limit=self._limits.max_render_bytes,
                )


def _look_up(cache: FragmentCache, ids: list[FragmentId]) -> dict[FragmentId, Fragment]:
    found = {fragment_id: cache.get(fragment_id) for fragment_id in ids}
    return {i: fragment for i, fragment in found.items() if fragment is not None}


def _ids(render: Render) -> list[FragmentId]:
    return [p.fragment_id for p in (*render.plan.prefixes, *render.plan.placements)]
