"""Servers that tell another replica less than they hold, or bring back what was withdrawn."""

from __future__ import annotations

from dataclasses import replace

from latentcrdt.core.encoding import pack_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import EMPTY_ROOT
from latentcrdt.core.sync.feed import FeedPage
from latentcrdt.core.sync.messages import Leaf, SyncAnswer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import FragmentNotFoundError
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.catalogue import Catalogue

replication = Catalogue()


@replication.answered("replication/roots")
def empty_states_are_left_out(asked: Request, given: Response) -> None:
    if asked.path == "/v1/roots" and given.status == 200:
        found = Roots.decode(given.body)
        kept = {name: r for name, r in found.states.items() if r.root != EMPTY_ROOT}
        found = replace(found, states=kept)
        given.replace_body(found.encode())
        given.headers["etag"] = f'"{found.digest}"'


@replication.answered("replication/roots")
def roots_that_are_known_come_without_a_cursor(asked: Request, given: Response) -> None:
    if given.status == 304:
        given.headers.pop("feed-cursor", None)


@replication.answered("replication/feed")
def the_feed_tells_no_ids(asked: Request, given: Response) -> None:
    if asked.path == "/v1/feed":
        given.replace_body(replace(FeedPage.decode(given.body), deltas={}).encode())


@replication.asked("replication/feed")
def the_feed_begins_at_the_beginning(asked: Request) -> None:
    if asked.path == "/v1/feed":
        asked.query = ""


@replication.asked("replication/cursors")
def the_cursor_of_another_feed_is_the_beginning(asked: Request) -> None:
    if asked.query.startswith("after=0000"):
        asked.query = ""


@replication.answered("replication/comparison")
def an_id_is_left_out_of_every_leaf(asked: Request, given: Response) -> None:
    if asked.path.endswith("/sync"):
        nodes = SyncAnswer.decode(given.body).nodes
        fewer = [Leaf(n.ids[1:]) if isinstance(n, Leaf) else n for n in nodes]
        given.replace_body(SyncAnswer(tuple(fewer)).encode())


@replication.answered("replication/comparison")
def answers_are_in_another_spelling(asked: Request, given: Response) -> None:
    if asked.path.endswith("/sync"):
        given.replace_body(pack_document({"nodes": []}))


@replication.asked("replication/malformed-questions")
def a_comparison_may_be_asked_in_any_type(asked: Request) -> None:
    if asked.path.endswith("/sync"):
        asked.headers["content-type"] = "application/vnd.msgpack"


@replication.answered("retraction/for-good")
def what_is_added_brings_a_retracted_state_back(asked: Request, given: Response) -> None:
    if asked.method == "POST" and given.code == "state_retracted":
        given.become(201, {"created": True})


@replication.answered("retraction/for-good")
def a_retracted_state_was_never_there(asked: Request, given: Response) -> None:
    if given.code == "state_retracted":
        document = {**given.document, "status": 404, "code": "state_not_found"}
        given.become(404, document, "application/problem+json")


@replication.fault("retraction/other-states")
def a_retraction_takes_what_others_hold(server: FaultyServer) -> None:
    retract, fragment = server.replica.retract, server.replica.fragments.get
    gone: set[FragmentId] = set()

    def take_along(name: StateName) -> bool:
        gone.update(server.replica.state(name))
        return retract(name)

    def find(fragment_id: FragmentId) -> Fragment:
        if fragment_id in gone:
            raise FragmentNotFoundError(f"{fragment_id} is gone", id=str(fragment_id))
        return fragment(fragment_id)

    server.patch.setattr(server.replica, "retract", take_along)
    server.patch.setattr(server.replica.fragments, "get", find)


@replication.answered("retraction/lifetimes")
def every_end_is_news(asked: Request, given: Response) -> None:
    if asked.query.startswith("expires_at=") and given.status == 200:
        given.become(201, {**given.document, "created": True})


@replication.asked("retraction/lifetimes")
def ends_are_not_kept(asked: Request) -> None:
    if asked.query.startswith("expires_at="):
        asked.query = ""
