"""The flows that send fragments, or ask whether they need to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentcrdt.client import calls
from latentcrdt.client.calls import MAX_IDS_PER_CALL
from latentcrdt.client.flows.steps import Flow, Work, ask
from latentcrdt.client.meter import Progress
from latentcrdt.client.pushed_body import FragmentBody, open_fragment
from latentcrdt.client.values import PushResult
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import FragmentNotFoundError

ASK_FIRST_BYTES = 64 * 1024
"""From this size on, asking whether the server holds a fragment costs less than sending it."""


def push(
    name: StateName,
    source: Fragment | Path | str,
    on_progress: Progress | None,
    *,
    is_inviting: bool,
) -> Flow[PushResult]:
    """Make a fragment a member, sending it only if the server lacks it.

    What it costs when the fragment is held, or refused, is one round trip. ``is_inviting``: this
    server says so to the head of the push itself, which then waits with its body; otherwise it is
    asked by a call of its own. Small fragments are sent at once.
    """
    fragment = yield from ask(Work(lambda: open_fragment(source)))
    body = FragmentBody(fragment, on_progress)
    is_large = body.num_bytes >= ASK_FIRST_BYTES
    if is_large and not is_inviting:
        try:
            created = yield from ask(calls.insert(name, body.fragment_id))
        except FragmentNotFoundError:
            pass
        else:
            body.finish_early()
            return PushResult(body.fragment_id, created, sent=False)
    result = yield from ask(calls.push(name, body, on_invitation=is_large and is_inviting))
    if not result.sent:
        body.finish_early()
    return result


def missing(ids: Sequence[FragmentId]) -> Flow[list[FragmentId]]:
    """Ask for the missing ones of any number of ids."""
    lacking: list[FragmentId] = []
    for start in range(0, len(ids), MAX_IDS_PER_CALL):
        lacking += yield from ask(calls.missing(ids[start : start + MAX_IDS_PER_CALL]))
    return lacking
