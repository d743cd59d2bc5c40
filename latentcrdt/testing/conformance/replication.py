"""What another replica asks: roots, feed and comparison tell exactly what a state holds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import EMPTY_ROOT, LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import MAX_PREFIXES, Question, SyncAnswer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.core.sync.session import SyncSession
from latentcrdt.testing.conformance.answer import MSGPACK_TYPES, Answer
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.server import Server

replication = Group("replication")

ROOTS = "OpenAPI: GET /v1/roots"
FEED = "OpenAPI: GET /v1/feed"
SYNC = "OpenAPI: POST /v1/states/{state}/sync"

SALT = bytes(range(16))
"""Any will do for one comparison; a server must not care."""

MAX_PAGES = 1000
"""Pages of a feed that are read before it is said to have no end."""


@dataclass(frozen=True, slots=True)
class Other:
    """What another replica holds of a state: some of its members, and some that it lacks."""

    common: frozenset[int]
    others: frozenset[int]

    def __str__(self) -> str:
        return f"a replica with the members {sorted(self.common)} and {len(self.others)} others"


@replication.check(ROOTS)
def roots(server: Server) -> None:
    """Every state is there with its root; the ETag is the digest of all, and 304 has the cursor."""
    fragments = [server.fresh(), server.fresh()]
    state, empty = server.holding(*fragments), server.fresh_state()
    server.ask("PUT", f"/v1/states/{empty}").expect(201)
    answer = server.get("/v1/roots").expect(200)
    found = Roots.decode(_msgpack(answer))
    for name, root in (
        (state, LatentState(f.fragment_id for f in fragments).root),
        (empty, EMPTY_ROOT),
    ):
        entry = found.states.get(StateName(name))
        equal(f"{answer.asked}: root of {name}", root, entry and entry.root)
    equal(f"{answer.asked}: ETag", f'"{found.digest}"', answer.header("etag"))
    equal(f"{answer.asked}: Feed-Cursor", str(found.cursor), answer.header("feed-cursor"))
    again = server.get("/v1/roots", if_none_match=answer.header("etag"))
    # Others may have added to states of theirs meanwhile.
    if again.expect(200, 304).status == 304:
        equal(f"{again.asked}: body", b"", again.body)
        Cursor.parse(again.header("feed-cursor"))


@replication.check(FEED)
def feed(server: Server) -> None:
    """What is added after a cursor, and nothing of what was before, follows it in the feed."""
    before, after = server.fresh(), server.fresh()
    state = server.holding(before)
    cursor = server.get("/v1/roots").expect(200).header("feed-cursor")
    equal(f"news of {state} after {cursor}", set(), _followed(server, cursor, state))
    server.push(state, after).expect(201)
    server.push(state, before).expect(200)
    expected = {after.fragment_id}
    equal(f"news of {state} after {cursor}", expected, _followed(server, cursor, state))


@replication.check(FEED)
def cursors(server: Server) -> None:
    """A cursor of another feed is 410, and what is no cursor is an invalid request."""
    for cursor in (f"{0:016x}-0", f"{1:016x}-99"):
        server.get(f"/v1/feed?after={cursor}").problem(410, "cursor_expired")
    for text in ("", "7", "x-1", f"{0:016x}-", f"{0:015x}F-1"):
        server.get(f"/v1/feed?after={text}").problem(400, "invalid_request")


@replication.check(SYNC)
def comparison(server: Server) -> None:
    """Comparing a state with another replica's finds what each of them lacks, and nothing else."""
    fragments = [server.fresh(num_layers=1) for _ in range(40)]
    state = server.holding(*fragments)
    held = [fragment.fragment_id for fragment in fragments]
    strangers = [FragmentId(digest(bytes([n]))) for n in range(20)]

    def test(example: Other) -> None:
        ours = {held[i] for i in example.common} | {strangers[i] for i in example.others}
        session = SyncSession(LatentState(ours), salt=SALT)
        while (question := session.ask()) is not None:
            session.receive(SyncAnswer.decode(_msgpack(_asked(server, state, question.encode()))))
        what = f"POST /v1/states/{state}/sync: what the"
        equal(f"{what} other replica lacks", {*held} - ours, session.lacking_here)
        equal(f"{what} server lacks", ours - {*held}, session.lacking_there)

    for_all(_others(len(held), len(strangers)), test, max_examples=12)


@replication.check(SYNC)
def malformed_questions(server: Server) -> None:
    """A question that is not in its one spelling, or too large, or of another type, is refused."""
    state = server.holding(server.fresh())
    question = Question(SALT, ("",)).encode()
    for body in (
        b"",
        b"\xc1",
        question + b"\0",
        Question(SALT, ("G",)).encode(),
        Question(SALT[1:], ("",)).encode(),
        Question(SALT, ("",) * (MAX_PREFIXES + 1)).encode(),
    ):
        answer = _asked(server, state, body)
        answer.problem(400, "malformed")
    headers = {"content-type": "text/plain"}
    answer = server.ask("POST", f"/v1/states/{state}/sync", headers=headers, body=question)
    answer.problem(415, "unsupported_media_type")


def _asked(server: Server, state: str, body: bytes) -> Answer:
    headers = {"content-type": MSGPACK_TYPES[0]}
    return server.ask("POST", f"/v1/states/{state}/sync", headers=headers, body=body)


def _msgpack(answer: Answer) -> bytes:
    equal(f"{answer.expect(200).asked}: Content-Type", MSGPACK_TYPES[0], answer.media_type)
    return answer.body


def _followed(server: Server, cursor: str, state: str) -> set[FragmentId]:
    """Return what the feed says of one state from a cursor on."""
    found: set[FragmentId] = set()
    for _ in range(MAX_PAGES):
        page = FeedPage.decode(_msgpack(server.get(f"/v1/feed?after={cursor}")))
        found |= {*page.deltas.get(StateName(state), LatentState())}
        cursor = str(page.cursor)
        if page.is_last:
            return found
    raise AssertionError(f"GET /v1/feed: expected an end within {MAX_PAGES} pages")


@st.composite
def _others(draw: st.DrawFn, num_common: int, num_others: int) -> Other:
    common, others = (
        draw(st.frozensets(st.integers(0, n - 1), max_size=n)) for n in (num_common, num_others)
    )
    return Other(common, others)
