"""Two states compared by question and answer, beside the difference of two Python sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync import session as session_module
from latentcrdt.core.sync.messages import (
    MAX_LEAF_IDS,
    MAX_PREFIXES,
    Branch,
    Leaf,
    Question,
    SyncAnswer,
    answer_question,
)
from latentcrdt.core.sync.session import SyncSession
from latentcrdt.core.sync.tree import DIGITS, IdTree
from latentcrdt.errors import InvalidInputError, RemoteSyncError

SALT = bytes(range(16))


def make_ids(numbers: range) -> list[FragmentId]:
    return [FragmentId(digest(n.to_bytes(4, "big"))) for n in numbers]


def close_ids() -> st.SearchStrategy[FragmentId]:
    """Ids that share long prefixes, so that trees grow deep."""
    tail = st.binary(min_size=2, max_size=2)
    return st.builds(lambda a, b: FragmentId(bytes([a % 3]) * 30 + b), st.integers(0, 5), tail)


def compare(ours: LatentState, theirs: LatentState) -> tuple[SyncSession, int, int]:
    """Return the finished session, its round trips and the bytes of all messages."""
    session = SyncSession(ours, salt=SALT)
    rounds = num_bytes = 0
    while (question := session.ask()) is not None:
        sent = question.encode()
        returned = answer_question(theirs, Question.decode(sent)).encode()
        session.receive(SyncAnswer.decode(returned))
        rounds += 1
        num_bytes += len(sent) + len(returned)
    return session, rounds, num_bytes


@given(st.sets(close_ids(), max_size=60), st.sets(close_ids(), max_size=60))
def test_a_session_finds_exactly_the_difference_both_ways(ours, theirs):
    session, _, _ = compare(LatentState(ours), LatentState(theirs))
    assert session.lacking_here == theirs - ours
    assert session.lacking_there == ours - theirs


@pytest.mark.parametrize("differing", [0, 1, 10, 300])
def test_the_cost_follows_the_difference_and_not_the_size(differing):
    common = make_ids(range(20_000))
    ours = LatentState([*common, *make_ids(range(50_000, 50_000 + differing // 2))])
    theirs = LatentState([*common, *make_ids(range(60_000, 60_000 + (differing + 1) // 2))])
    session, rounds, num_bytes = compare(ours, theirs)
    assert len(session.lacking_here) + len(session.lacking_there) == differing
    assert rounds <= 6
    # The path to one id: a digest of each child at each level, and a leaf; and the first question.
    assert num_bytes <= 300 + differing * 5 * 200


def test_states_that_share_nothing_cost_little_more_than_a_list():
    ours, theirs = LatentState(make_ids(range(5_000))), LatentState(make_ids(range(5_000, 10_000)))
    session, _, num_bytes = compare(ours, theirs)
    assert session.lacking_here == set(theirs)
    assert num_bytes < 2 * 32 * 5_000


def test_a_question_has_a_bounded_number_of_nodes():
    session, rounds, _ = compare(LatentState(), LatentState(make_ids(range(60_000))))
    assert len(session.lacking_here) == 60_000
    assert rounds > 60_000 // MAX_LEAF_IDS // MAX_PREFIXES


def test_a_peer_that_always_says_different_is_given_up(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_NODES", 500)
    session = SyncSession(LatentState(make_ids(range(10))), salt=SALT)
    lie = Branch(tuple(bytes([n]) * 8 for n in range(16)))

    def believe() -> None:
        while (question := session.ask()) is not None:
            session.receive(SyncAnswer((lie,) * len(question.prefixes)))

    with pytest.raises(RemoteSyncError, match="at most 500 nodes"):
        believe()


def test_an_answer_of_another_length_is_refused():
    session = SyncSession(LatentState(), salt=SALT)
    session.ask()
    with pytest.raises(RemoteSyncError, match="expected 1 nodes, got 2"):
        session.receive(SyncAnswer((Leaf(()), Leaf(()))))


def test_an_id_outside_of_the_node_asked_for_is_refused():
    ids = make_ids(range(200))
    session = SyncSession(LatentState(ids), salt=SALT)
    session.ask()
    session.receive(SyncAnswer((Branch((b"differs!",) * 16),)))
    question = session.ask()
    assert question is not None
    stranger = next(i for i in ids if not str(i).startswith(question.prefixes[0]))
    nodes = [Leaf((stranger,)), *[Leaf(())] * (len(question.prefixes) - 1)]
    with pytest.raises(RemoteSyncError, match=str(stranger)):
        session.receive(SyncAnswer(tuple(nodes)))


def test_digests_depend_on_the_salt():
    tree = IdTree(sorted(make_ids(range(100))))
    assert tree.children("", SALT) != tree.children("", bytes(16))


@given(st.sets(close_ids(), max_size=40), st.text(DIGITS, max_size=6))
def test_a_node_is_what_starts_with_its_prefix(ids, prefix):
    below = IdTree(sorted(ids)).below(prefix)
    assert list(below) == sorted(i for i in ids if str(i).startswith(prefix))


@pytest.mark.parametrize(
    "prefixes", [["A"], ["g"], ["0" * 65], [7], [""] * (MAX_PREFIXES + 1)], ids=str
)
def test_a_question_about_no_node_is_refused(prefixes):
    with pytest.raises(InvalidInputError):
        Question.decode(Question(SALT, tuple(prefixes)).encode())


@given(st.binary(max_size=120))
def test_no_bytes_crash_a_decoder(noise):
    for decoder in (Question.decode, SyncAnswer.decode):
        for data in (noise, Question(SALT, ("",)).encode() + noise):
            try:
                decoder(data)
            except InvalidInputError:
                continue
