"""Retraction gives back space, and takes nothing that somebody still needs or is adding."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StateNotFoundError, StateRetractedError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

A, B = StateName("a"), StateName("b")
ONE, TWO = make_fragment(1), make_fragment(2)


@pytest.fixture
def replica() -> Replica:
    return Replica(MemoryStore())


def test_a_retracted_state_answers_everything_with_the_same_error(replica: Replica) -> None:
    replica.push(A, ONE)
    assert replica.retract(A)
    assert not replica.retract(A)
    for ask in (
        lambda: replica.state(A),
        lambda: replica.plan(A),
        lambda: replica.push(A, TWO),
        lambda: replica.insert(A, TWO.fragment_id),
        lambda: replica.declare(A),
    ):
        with pytest.raises(StateRetractedError, match="'a'"):
            ask()
    assert replica.states() == []


def test_a_state_can_be_retracted_before_anyone_declared_it(replica: Replica) -> None:
    assert replica.retract(A)
    with pytest.raises(StateRetractedError):
        replica.push(A, ONE)


def test_the_space_of_a_retracted_state_is_given_back(replica: Replica) -> None:
    replica.push(A, ONE)
    replica.retract(A)
    assert replica.missing([ONE.fragment_id]) == [ONE.fragment_id]
    assert replica.push(B, ONE).created


def test_a_fragment_of_another_state_stays(replica: Replica) -> None:
    for name in (A, B):
        replica.push(name, ONE)
    replica.push(A, TWO)
    replica.retract(A)
    assert replica.missing([ONE.fragment_id, TWO.fragment_id]) == [TWO.fragment_id]


def test_a_prefix_of_another_states_member_stays(replica: Replica) -> None:
    outer = make_fragment(3, seq_len=2)
    inner = make_fragment(4, start=2, seq_len=2, prefix=outer.fragment_id)
    leaf = make_fragment(5, start=4, seq_len=2, prefix=inner.fragment_id)
    for fragment in (outer, inner, leaf):
        replica.push(A, fragment)
    replica.insert(B, leaf.fragment_id)
    render_id = replica.plan(B).render_id
    replica.retract(A)
    assert replica.plan(B).render_id == render_id


def test_a_fragment_that_is_being_added_is_not_removed(replica: Replica) -> None:
    replica.push(A, ONE)
    with replica._space.keep(ONE.fragment_id):
        replica.retract(A)
        assert replica.missing([ONE.fragment_id]) == []


def test_a_push_into_a_state_that_ends_meanwhile_is_refused(replica: Replica) -> None:
    with replica.begin_push(A) as push:
        push.write(ONE.to_bytes())
        replica.retract(A)
        with pytest.raises(StateRetractedError):
            push.commit()
    assert replica.states() == []


def test_a_render_under_way_outlives_the_retraction_of_its_state(tmp_path: Path) -> None:
    replica = Replica(DirectoryStore(tmp_path))
    for fragment in (ONE, TWO):
        replica.push(A, fragment)
    plan = replica.plan(A)
    expected = b"".join(map(bytes, replica.render_chunks(plan)))
    chunks = replica.render_chunks(plan)
    replica.retract(A)
    assert b"".join(map(bytes, chunks)) == expected
    assert replica.missing([ONE.fragment_id]) == [ONE.fragment_id]
    replica.close()


def test_a_state_expires_when_its_lifetime_has_ended(replica: Replica) -> None:
    replica.declare(A, expires_at=100)
    replica.declare(B)
    replica.push(A, ONE)
    assert replica.expire(99.5) == []
    assert replica.expire(100) == [A]
    assert replica.states() == [B]
    assert replica.expire(10**9) == []


def test_a_lifetime_can_be_extended_and_never_cut(replica: Replica) -> None:
    assert replica.declare(A, expires_at=100)
    assert replica.declare(A, expires_at=200)
    assert not replica.declare(A, expires_at=50)
    assert replica.state(A).expires_at == 200


def test_a_retraction_survives_opening_again(tmp_path: Path) -> None:
    replica = Replica(DirectoryStore(tmp_path))
    replica.push(A, ONE)
    replica.retract(A)
    replica.close()
    again = Replica(DirectoryStore(tmp_path))
    with pytest.raises(StateRetractedError):
        again.state(A)
    with pytest.raises(StateNotFoundError):
        again.state(B)
    assert not again.merge(A, LatentState([ONE.fragment_id]))
    again.close()
