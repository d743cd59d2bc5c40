"""Requests at the same time lose nothing and agree on who was first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.testing.conformance.answer import Answer
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.expected import root_of
from latentcrdt.testing.conformance.server import PARALLEL, Server

concurrency = Group("concurrency")

PUSH = "OpenAPI: POST /v1/states/{state}/fragments"
STATE = "docs/format.md section 6"


@concurrency.check(PUSH)
def different_fragments(server: Server) -> None:
    """Of fragments pushed to one state at the same time, none is lost."""
    fragments = [server.fresh() for _ in range(4 * PARALLEL)]
    state = server.fresh_state()
    for answer in server.at_once(partial(server.push, state), fragments):
        answer.expect(201)
    server.get(f"/v1/states/{state}").expect(200).covers({"root": root_of(fragments)})


@concurrency.check(PUSH)
def one_fragment(server: Server) -> None:
    """Of pushes of one fragment to one state at the same time, exactly one made the state grow."""
    for _ in range(4):
        fragment = server.fresh()
        state = server.fresh_state()
        answers = server.at_once(partial(server.push, state), [fragment] * PARALLEL)
        for answer in answers:
            answer.expect(200, 201).covers({"created": answer.status == 201})
        statuses = [answer.status for answer in answers]
        equal(f"how many of {len(statuses)} pushes at once got 201", 1, statuses.count(201))
        server.get(f"/v1/states/{state}").expect(200).covers({"root": root_of([fragment])})


@concurrency.check(STATE)
def snapshots(server: Server) -> None:
    """A state that is read while it grows names in its root the members that it lists."""
    fragments = [server.fresh() for _ in range(24)]
    state = server.holding(server.fresh())
    finished = Event()

    def read() -> None:
        answer = server.get(f"/v1/states/{state}").expect(200)
        ids = _member_ids(answer)
        expected = str(LatentState(ids).root)
        answer.covers({"root": expected})
        equal(f"{answer.asked}: ETag", f'"{expected}"', answer.header("etag"))

    def read_until_finished() -> None:
        while not finished.is_set():
            read()

    read()
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read_until_finished)
        try:
            for answer in server.at_once(partial(server.push, state), fragments):
                answer.expect(201)
        finally:
            finished.set()
        reading.result()
    read()


def _member_ids(answer: Answer) -> list[FragmentId]:
    members = answer.document().get("members")
    try:
        return [FragmentId.parse(member["id"]) for member in members or ()]
    except (TypeError, KeyError) as error:
        raise AssertionError(f"{answer.asked}: expected 'members', each with its 'id'") from error
