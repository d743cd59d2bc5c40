"""The flow of a repaired render: look whether anyone made it, else make it and leave it there.

Nothing here knows a model: a `Repair` names its result, and makes it when nobody has.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from latentcrdt.client import calls
from latentcrdt.client.body import Progress
from latentcrdt.client.flows import Flow, Limits, Work, ask, push
from latentcrdt.client.local_flows import Fetcher, Sources, fetch_header, order_checked
from latentcrdt.client.local_render import AnnouncedPlan, plan_again
from latentcrdt.client.values import StateListing
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import Derived, Repair, companion_of, stands_for
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
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


def repair_render(
    name: StateName,
    query: RenderQuery,
    limits: Limits,
    on_progress: Progress | None,
    *,
    sources: Sources,
    repair: Repair,
) -> Flow[Derived]:
    """Get the plan and check it, then find the derived fragment, or make and share it.

    The server is believed as little as for a render made here: order and positions are computed
    again. Of what was derived it is believed that whoever added it ran the model.
    """
    fetcher = Fetcher(sources, limits, on_progress)
    announced = AnnouncedPlan.read((yield from ask(calls.plan(name, query))))
    needed = dict.fromkeys((*announced.prefixes, *announced.order))
    headers: dict[FragmentId, FragmentHeader] = {}
    lacking = yield from fetcher.look_up(needed)
    for fragment_id in lacking:
        headers[fragment_id] = yield from fetch_header(fragment_id)
    headers |= {i: fetcher.fragments[i].header for i in needed if i not in headers}
    plan = plan_again(announced, query, headers, limits.max_render_bytes)
    derivation = repair.derivation(plan)
    if query.order is None:
        yield from order_checked(plan, headers, fetcher.fragments)
    companion = companion_of(derivation)
    derived_id = yield from find_derived(companion, derivation.operation, plan, headers)
    if derived_id is None:
        yield from fetcher.fetch(needed)
        made = yield from ask(Work(partial(repair.apply, plan, fetcher.fragments)))
        fetcher.fragments[made.fragment_id] = made
        derived_id = yield from _shared(companion, derivation.operation, made, plan, headers)
    yield from fetcher.fetch([*announced.prefixes, derived_id])
    derived = fetcher.fragments[derived_id]
    return (yield from ask(Work(partial(_render, plan, derivation, derived, fetcher.fragments))))


def check_repair_options(where: str | None, previous: Render | None) -> None:
    """Raise InvalidRequestError for what a repaired render cannot be asked for with."""
    if where == "server":
        raise InvalidRequestError("repair: expected where 'client' or none; no server has a model")
    if previous is not None:
        raise InvalidRequestError("repair: expected no previous render; it has other rows")


def find_derived(
    companion: StateName,
    operation: Operation,
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
        if stands_for(header, operation, plan, headers):
            return member.fragment_id
    return None


def _shared(
    companion: StateName,
    operation: Operation,
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
    found = yield from find_derived(companion, operation, plan, headers)
    return made.fragment_id if found is None else found


def _render(
    plan: RenderPlan,
    derivation: Derivation,
    derived: Fragment,
    fragments: Mapping[FragmentId, Fragment],
) -> Derived:
    # numpy, and torch where it is installed, are loaded here: only whoever renders pays for them.
    from latentcrdt.render.derived import render_derived  # noqa: PLC0415

    return render_derived(plan, derivation, derived, fragments)
