"""Servers whose states are not grow-only sets, or that tell wrongly whether one grew."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StateNotFoundError
from latentcrdt.testing.conformance.server import PARALLEL
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.catalogue import Catalogue

states = Catalogue()

MEETING_TIMEOUT_S = 30
"""For requests that are under way at the same time; they meet within milliseconds."""


def is_push(asked: Request) -> bool:
    return asked.method == "POST" and asked.path.endswith("/fragments")


def is_listing(asked: Request, given: Response) -> bool:
    is_state = asked.path.startswith("/v1/states/") and asked.path.count("/") == 3
    return is_state and asked.method == "GET" and given.status == 200


@states.fault("laws/order-of-arrival")
def the_last_arrival_comes_last_in_a_render(server: FaultyServer) -> None:
    arrived: defaultdict[str, list[FragmentId]] = defaultdict(list)
    insert, plan = server.replica._insert, server.replica.plan

    def noted(name: StateName, fragment_id: FragmentId) -> bool:
        if fragment_id not in arrived[name]:
            arrived[name].append(fragment_id)
        return insert(name, fragment_id)

    def in_order_of_arrival(name: StateName, query: RenderQuery) -> RenderPlan:
        return plan(name, RenderQuery(order=tuple(arrived[name])))

    server.patch.setattr(server.replica, "_insert", noted)
    server.patch.setattr(server.replica, "plan", in_order_of_arrival)


@states.fault("laws/repetition")
def a_state_is_a_multiset(server: FaultyServer) -> None:
    pushes: Counter[str] = Counter()

    def after(asked: Request, given: Response) -> None:
        state = asked.path.split("/")[3]
        pushes[state] += is_push(asked)
        if is_listing(asked, given):
            given.headers["etag"] = f'"{digest(str(pushes[state]).encode()).hex()}"'

    server.after = after


@states.fault("laws/growth")
def the_last_writer_wins(server: FaultyServer) -> None:
    insert, state = server.replica._insert, server.replica.state
    last: dict[str, FragmentId] = {}

    def noted(name: StateName, fragment_id: FragmentId) -> bool:
        last[name] = fragment_id
        return insert(name, fragment_id)

    def only_the_last(name: StateName) -> LatentState:
        return LatentState(i for i in state(name) if i == last[name])

    server.patch.setattr(server.replica, "_insert", noted)
    server.patch.setattr(server.replica, "state", only_the_last)


@states.fault("laws/merge")
def a_member_added_by_id_is_acknowledged_and_forgotten(server: FaultyServer) -> None:
    def forget(name: StateName, fragment_id: FragmentId) -> bool:
        return True

    server.patch.setattr(server.replica, "insert", forget)


@states.fault("laws/separate-states")
def a_fragment_is_added_to_other_states_too(server: FaultyServer) -> None:
    insert = server.replica._insert
    names: list[StateName] = []

    def spread(name: StateName, fragment_id: FragmentId) -> bool:
        names.append(name)
        return [insert(other, fragment_id) for other in names][-1]

    server.patch.setattr(server.replica, "_insert", spread)


@states.answered("laws/root")
def the_root_is_not_over_the_sorted_ids(asked: Request, given: Response) -> None:
    if is_listing(asked, given):
        document = given.document
        ids = [FragmentId.parse(member["id"]) for member in document["members"]]
        document["root"] = digest(b"".join(reversed(ids))).hex()
        given.document = document
        given.headers["etag"] = f'"{document["root"]}"'


@states.answered("laws/root")
def the_list_of_states_counts_one_too_few(asked: Request, given: Response) -> None:
    if asked.path == "/v1/states":
        document = given.document
        for entry in document["states"]:
            entry["fragments"] = max(0, entry["fragments"] - 1)
        given.document = document


@states.answered("duplicates/pushes")
def every_push_is_201(asked: Request, given: Response) -> None:
    if is_push(asked) and given.status == 200:
        given.status = 201


@states.answered("duplicates/pushes")
def every_push_created(asked: Request, given: Response) -> None:
    if is_push(asked) and given.status == 200:
        given.document = {**given.document, "created": True}


@states.fault("duplicates/another-state")
def a_fragment_that_is_held_is_new_to_no_state(server: FaultyServer) -> None:
    held = set()

    def after(asked: Request, given: Response) -> None:
        if is_push(asked) and given.status == 201:
            if given.document["id"] in held:
                given.become(200, {**given.document, "created": False})
            held.add(given.document["id"])

    server.after = after


@states.answered("duplicates/members")
def adding_by_id_is_always_201(asked: Request, given: Response) -> None:
    if "/members/" in asked.path and given.status == 200:
        given.status = 201


@states.answered("duplicates/members-that-are-not-held")
def what_is_not_held_can_be_added(asked: Request, given: Response) -> None:
    if "/members/" in asked.path and given.status == 404:
        _, _, _, state, _, fragment_id = asked.path.split("/")
        given.become(201, {"id": fragment_id, "state": state, "created": True})


@states.answered("duplicates/declarations")
def a_declaration_always_creates(asked: Request, given: Response) -> None:
    if asked.method == "PUT" and asked.path.count("/") == 3 and given.status == 200:
        given.become(201, {**given.document, "created": True})


@states.answered("duplicates/bytes-come-back")
def a_push_does_not_say_where_it_went(asked: Request, given: Response) -> None:
    given.headers.pop("location", None)


@states.fault("concurrency/different-fragments")
def one_of_two_pushes_at_once_is_lost(server: FaultyServer) -> None:
    insert = server.replica._insert
    busy = threading.Lock()
    lost = threading.Event()

    def lose(name: StateName, fragment_id: FragmentId) -> bool:
        if not busy.acquire(blocking=False):
            lost.set()
            return True
        try:
            lost.wait(MEETING_TIMEOUT_S)
            return insert(name, fragment_id)
        finally:
            busy.release()

    server.patch.setattr(server.replica, "_insert", lose)


@states.fault("concurrency/one-fragment")
def whoever_found_a_fragment_missing_created_it(server: FaultyServer) -> None:
    insert = server.replica._insert
    all_have_looked = threading.Barrier(PARALLEL, timeout=MEETING_TIMEOUT_S)

    def look_first(name: StateName, fragment_id: FragmentId) -> bool:
        try:
            was_missing = fragment_id not in server.replica.state(name)
        except StateNotFoundError:
            was_missing = True
        all_have_looked.wait()
        insert(name, fragment_id)
        return was_missing

    server.patch.setattr(server.replica, "_insert", look_first)


@states.fault("concurrency/snapshots")
def the_root_is_cached_while_the_members_are_not(server: FaultyServer) -> None:
    roots: dict[str, str] = {}

    def after(asked: Request, given: Response) -> None:
        if is_listing(asked, given):
            root = roots.setdefault(asked.path, given.document["root"])
            given.document = {**given.document, "root": root}

    server.after = after


@states.answered("names/legal-names")
def a_name_with_two_dots_is_taken_for_a_path(asked: Request, given: Response) -> None:
    if ".." in asked.path:
        given.status = 400


@states.asked("names/illegal-names")
def names_are_the_same_in_either_case(asked: Request) -> None:
    asked.path = asked.path.lower()


@states.asked("names/illegal-names")
def names_are_trimmed(asked: Request) -> None:
    asked.path = "/".join(part.strip() for part in asked.path.split("/"))


@states.asked("names/spelled-ids")
def ids_are_the_same_in_either_case(asked: Request) -> None:
    if asked.path.startswith("/v1/fragments/"):
        asked.path = asked.path.lower()


@states.asked("names/spelled-ids")
def a_declared_id_may_be_spelt_anyhow(asked: Request) -> None:
    if "fragment-id" in asked.headers:
        asked.headers["fragment-id"] = asked.headers["fragment-id"].lower()[:64].ljust(64, "0")


@states.answered("names/missing-ids")
def nothing_is_ever_missing(asked: Request, given: Response) -> None:
    if asked.path.endswith("/missing"):
        given.document = {"missing": []}


@states.fault("names/missing-ids")
def everything_is_always_missing(server: FaultyServer) -> None:
    server.patch.setattr(server.replica, "missing", list)


@states.answered("names/malformed-questions")
def a_question_without_ids_is_about_none(asked: Request, given: Response) -> None:
    if asked.path.endswith("/missing") and given.code == "invalid_request":
        given.become(200, {"missing": []})
