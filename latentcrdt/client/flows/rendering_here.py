"""The flow of a render that is made here: fetch what it takes and no more, then do it all again.

With an earlier render in hand, a fragment whose rows it holds is not fetched. Its header is, and
where the order is canonical the keys that its sort key is computed from: so the server is believed
no more than without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.flows.fetching import fetch, fetch_header, fetch_keys
from latentcrdt.client.flows.steps import Flow, Work, ask, at_once
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.limits import Limits
from latentcrdt.client.meter import Meter, Progress
from latentcrdt.client.plan_checks import AnnouncedPlan, check_order, plan_again, render_here
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.errors import TooLargeError


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
    headers = yield from fetcher.headers(needed)
    plan = plan_again(announced, query, headers, limits.max_render_bytes)
    if previous is not None:
        yield from fetcher.fetch(Reuse(plan, previous.plan).lacking)
    if query.order is None:
        yield from fetcher.check_order(plan, headers)
    return (yield from ask(Work(lambda: render_here(plan, fetcher.fragments, previous))))


class Fetcher:
    """The fragments of one render: those that are here, and the fetching of what is not."""

    def __init__(self, sources: Sources, limits: Limits, on_progress: Progress | None) -> None:
        self.fragments = dict(sources.held)
        self._cache = sources.cache
        self._limits = limits
        self._is_watched = on_progress is not None
        self._meter = Meter(on_progress)
        self._claimed: dict[FragmentId, int] = {}

    def look_up(self, ids: Iterable[FragmentId]) -> Flow[list[FragmentId]]:
        """Take what the cache holds; return the ids of those that would have to be fetched."""
        lacking = [i for i in ids if i not in self.fragments]
        if self._cache is None:
            return lacking
        found = yield from ask(Work(partial(_look_up, self._cache, lacking)))
        self.fragments |= found
        return [i for i in lacking if i not in found]

    def fetch(self, ids: Iterable[FragmentId]) -> Flow[None]:
        """Fetch those that are not here yet, at once, verified while they arrive."""
        lacking = yield from self.look_up(ids)
        if self._is_watched:
            asking = [partial(ask, calls.fragment_bytes(i)) for i in lacking]
            sizes = yield from at_once(asking, self._limits)
            self._meter.total += sum(sizes)
        connections = max(self._limits.connections // max(len(lacking), 1), 1)
        each = replace(self._limits, connections=connections)
        fetching = [partial(self._fetch, i, each, self._meter.part()) for i in lacking]
        fetched = yield from at_once(fetching, self._limits)
        self.fragments |= zip(lacking, fetched, strict=True)

    def headers(self, ids: Iterable[FragmentId]) -> Flow[dict[FragmentId, FragmentHeader]]:
        """Return the headers of fragments, fetched where the fragment is not here."""
        wanted = list(ids)
        lacking = [i for i in wanted if i not in self.fragments]
        asking = [partial(fetch_header, i) for i in lacking]
        fetched = yield from at_once(asking, self._limits)
        headers = dict(zip(lacking, fetched, strict=True))
        return headers | {i: self.fragments[i].header for i in wanted if i not in headers}

    def check_order(
        self, plan: RenderPlan, headers: Mapping[FragmentId, FragmentHeader]
    ) -> Flow[None]:
        """Raise UnexpectedAnswerError unless a plan's order is canonical.

        Of a fragment that is not here, the keys that its sort key is computed from are fetched.
        """
        layer = plan.geometry.key_layer
        ids = [placement.fragment_id for placement in plan.placements]
        lacking = [i for i in ids if i not in self.fragments]
        alone = replace(self._limits, connections=1)
        asking = [partial(fetch_keys, headers[i], layer, alone) for i in lacking]
        fetched = yield from at_once(asking, self._limits)
        keys = dict(zip(lacking, fetched, strict=True))
        keys |= {i: self.fragments[i].keys(layer) for i in ids if i not in keys}
        yield from ask(Work(lambda: check_order(plan, keys)))

    def _fetch(
        self, fragment_id: FragmentId, limits: Limits, on_progress: Progress | None
    ) -> Flow[Fragment]:
        fragment = yield from fetch(
            fragment_id, limits, on_progress, partial(self._claim, fragment_id)
        )
        if self._cache is not None:
            yield from ask(Work(partial(self._cache.put, fragment)))
        return fragment

    def _claim(self, fragment_id: FragmentId, num_bytes: int) -> None:
        self._claimed[fragment_id] = num_bytes
        if sum(list(self._claimed.values())) > self._limits.max_render_bytes:
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
