"""The flows of renders whose rows are made, not only laid side by side: repairs and merges.

A repair, whose rows cost a model run, is first looked for where others may have left it. Nothing
here knows a model: a `Repair` names its result, and makes it when nobody has.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.flows.fetching import fetch_header
from latentcrdt.client.flows.merging import merge_remotely
from latentcrdt.client.flows.pushing import push
from latentcrdt.client.flows.rendering_here import Fetcher, Sources
from latentcrdt.client.flows.steps import Flow, Work, ask
from latentcrdt.client.limits import Limits
from latentcrdt.client.merges import merge_of
from latentcrdt.client.meter import Progress
from latentcrdt.client.plan_checks import AnnouncedPlan, plan_again
from latentcrdt.client.values import StateListing
from latentcrdt.core.derivation import Derivation
from latentcrdt.core.derived import Derived, Repair, companion_of, stands_for
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import LayerRange, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.errors import (
    AccessError,
    FragmentNotFoundError,
    InvalidRequestError,
    StateNotFoundError,
    StateRetractedError,
    StoreFullError,
)

logger = logging.getLogger(__name__)

NOT_SHARED = (AccessError, StateNotFoundError, StateRetractedError, StoreFullError)
"""Answers after which a result that was made here is kept here: no right, no room, or an end.

A state that the caller may not see answers as one that is not there.
"""


def derive(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    sources: Sources,
    repair: Repair | None,
    where: str | None,
    verify: bool,
) -> Flow[Derived]:
    """Get the render that a repair, or the query's merge, makes of a state's fragments."""
    if (repair is None) == (query.merge is None):
        raise InvalidRequestError("expected a repair, or a query with merge; one of them")
    if repair is not None and where == "server":
        raise InvalidRequestError("repair: expected where 'client' or none; no server has a model")
    is_cheaper_here = where is None and sources.make_it_cheaper_here(query)
    if repair is None and where != "client" and not is_cheaper_here:
        return (yield from merge_remotely(name, query, limits, on_progress, verify=verify))
    fetcher = Fetcher(sources, limits, on_progress)
    if repair is not None:
        base = yield from _base(name, query, fetcher, limits.max_render_bytes)
        return (yield from _repaired(base, query, repair))
    base = yield from _base(name, query.of_branches(), fetcher, limits.max_render_bytes)
    return (yield from _merged(base, query))


def check_derivable(previous: Render | None) -> None:
    """Raise InvalidRequestError for what a derived render cannot be asked for with."""
    if previous is not None:
        raise InvalidRequestError("repair or merge: expected no previous render; it has other rows")


def _repaired(base: _Base, query: RenderQuery, repair: Repair) -> Flow[Derived]:
    """Find what a repair makes of a plan, or make and share it.

    Of what is found it is believed that whoever added it ran the model.
    """
    derivation = repair.derivation(base.plan)
    yield from base.order_checked(query)
    companion = companion_of(derivation)
    derived_id = yield from find_derived(companion, base.plan, base.headers)
    if derived_id is None:
        made = yield from base.applied(repair)
        derived_id = yield from _shared(companion, made, base.plan, base.headers)
    return (yield from base.rendered(derivation, derived_id, None))


def _merged(base: _Base, query: RenderQuery) -> Flow[Derived]:
    """Merge the branches of a plan here."""
    merge = merge_of(query)
    derivation = merge.derivation(base.plan)
    yield from base.order_checked(query)
    made = yield from base.applied(merge)
    return (yield from base.rendered(derivation, made.fragment_id, query.layers))


def _base(name: StateName, query: RenderQuery, fetcher: Fetcher, max_bytes: int) -> Flow[_Base]:
    """Get a plan and the headers that it takes to make it again, and no more.

    The server is believed as little as for a render made here.
    """
    announced = AnnouncedPlan.read((yield from ask(calls.plan(name, query))))
    needed = dict.fromkeys((*announced.prefixes, *announced.order))
    yield from fetcher.look_up(needed)
    headers = yield from fetcher.headers(needed)
    return _Base(plan_again(announced, query, headers, max_bytes), headers, fetcher)


@dataclass(frozen=True, slots=True)
class _Base:
    """What a derivation begins with: a plan that was made again, and what there is of it here."""

    plan: RenderPlan
    headers: Mapping[FragmentId, FragmentHeader]
    fetcher: Fetcher

    def order_checked(self, query: RenderQuery) -> Flow[None]:
        """Raise UnexpectedAnswerError unless the order is canonical, or the query's own."""
        if query.order is None:
            yield from self.fetcher.check_order(self.plan, self.headers)

    def applied(self, repair: Repair) -> Flow[Fragment]:
        """Fetch what is lacking, and return what the repair makes of it."""
        yield from self.fetcher.fetch(self.headers)
        made = yield from ask(Work(partial(repair.apply, self.plan, self.fetcher.fragments)))
        self.fetcher.fragments[made.fragment_id] = made
        return made

    def rendered(
        self, derivation: Derivation, derived_id: FragmentId, layers: str | None
    ) -> Flow[Derived]:
        """Return a derived fragment, fetched if need be, as a render."""
        prefixes = [placement.fragment_id for placement in self.plan.prefixes]
        yield from self.fetcher.fetch([*prefixes, derived_id])
        derived = self.fetcher.fragments[derived_id]
        fragments = self.fetcher.fragments
        work = partial(_render, self.plan, derivation, derived, fragments, layers)
        return (yield from ask(Work(work)))


def find_derived(
    companion: StateName,
    plan: RenderPlan,
    headers: Mapping[FragmentId, FragmentHeader],
) -> Flow[FragmentId | None]:
    """Return the member of a companion state that stands for the derivation, or None.

    Members come by ascending id, so that the first that fits is the one that everyone takes.
    """
    try:
        listing: StateListing = yield from ask(calls.state(companion))
    except (StateNotFoundError, StateRetractedError, AccessError):
        return None
    place = (plan.class_id, plan.base, plan.next_position)
    for member in sorted(listing.members, key=lambda member: member.fragment_id):
        if (member.class_id, member.start, member.start + member.seq_len) != place:
            continue
        try:
            header = yield from fetch_header(member.fragment_id)
        except FragmentNotFoundError:
            continue  # listed, and retracted or found damaged since
        if stands_for(header, plan, headers):
            return member.fragment_id
    return None


def _shared(
    companion: StateName,
    made: Fragment,
    plan: RenderPlan,
    headers: Mapping[FragmentId, FragmentHeader],
) -> Flow[FragmentId]:
    """Leave a result in its companion state; return the one that everyone takes by now."""
    try:
        yield from push(companion, made, None, is_inviting=False)
    except NOT_SHARED as error:
        logger.info("derived fragment %s is not shared: %s", made.fragment_id, error)
        return made.fragment_id
    found = yield from find_derived(companion, plan, headers)
    return made.fragment_id if found is None else found


def _render(
    plan: RenderPlan,
    derivation: Derivation,
    derived: Fragment,
    fragments: Mapping[FragmentId, Fragment],
    layers: str | None,
) -> Derived:
    # numpy, and torch where it is installed, are loaded here: only whoever renders pays for them.
    from latentcrdt.render.derived import render_derived  # noqa: PLC0415

    carried = LayerRange.parse(layers or ":", len(plan.geometry.layers))
    return render_derived(plan, derivation, derived, fragments, layers=carried)
