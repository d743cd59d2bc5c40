"""A state is a set: order, repetition and the way by which a member came leave no trace."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all, fragment_sets, listed
from latentcrdt.testing.conformance.expectations import covers, equal, same_bytes
from latentcrdt.testing.conformance.expected import plan_of, rendered, root_of, state_document
from latentcrdt.testing.conformance.server import Server

laws = Group("laws")

STATE = "docs/format.md section 6"


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Fragments of one class, and two ways for all of them to arrive, some more than once."""

    fragments: tuple[Fragment, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def __str__(self) -> str:
        return f"{listed(self.fragments)}; delivered as {self.first} and as {self.second}"


@dataclass(frozen=True, slots=True)
class Halves:
    """The members of two states, which may have some in common."""

    left: tuple[Fragment, ...]
    right: tuple[Fragment, ...]

    def __str__(self) -> str:
        return f"left {listed(self.left)}; right {listed(self.right)}"


@laws.check(STATE)
def order_of_arrival(server: Server) -> None:
    """Fragments that arrive in any order, any number of times, give one root and one render."""

    def test(example: Deliveries) -> None:
        expected = rendered(plan_of(example.fragments), example.fragments)
        for delivery in (example.first, example.second):
            state = server.fresh_state()
            for index in delivery:
                server.push(state, example.fragments[index]).expect(200, 201)
            _holds_exactly(server, state, example.fragments)
            answer = server.get(f"/v1/states/{state}/render").expect(200)
            same_bytes(answer.asked, expected, answer.body)

    for_all(_deliveries(server), test, max_examples=10)


@laws.check(STATE)
def repetition(server: Server) -> None:
    """Adding what a state holds changes neither its root nor the name of its render."""
    fragments = [server.fresh() for _ in range(3)]
    state = server.holding(*fragments)

    def tags() -> list[str]:
        paths = (f"/v1/states/{state}", f"/v1/states/{state}/render")
        return [server.get(path).expect(200).header("etag") for path in paths]

    before = tags()
    for fragment in fragments:
        server.push(state, fragment).expect(200)
        server.ask("PUT", f"/v1/states/{state}/members/{fragment.fragment_id}").expect(200)
        equal(f"ETags of state {state} and its render, after repeating", before, tags())


@laws.check(STATE)
def growth(server: Server) -> None:
    """A state only grows: after each push it holds all that it held, and the new one."""
    state = server.fresh_state()
    held: list[Fragment] = []
    for _ in range(4):
        held.append(server.fresh())
        server.push(state, held[-1]).expect(201)
        _holds_exactly(server, state, held)


@laws.check(STATE)
def merge(server: Server) -> None:
    """Two states, each given the members of the other, become equal: the union of both."""

    def test(example: Halves) -> None:
        left, right = (server.fresh_state() for _ in range(2))
        for state, members in ((left, example.left), (right, example.right)):
            for fragment in members:
                server.push(state, fragment).expect(200, 201)
        for state, others in ((left, example.right), (right, example.left)):
            for fragment in others:
                path = f"/v1/states/{state}/members/{fragment.fragment_id}"
                server.ask("PUT", path).expect(200, 201)
        union = {f.fragment_id: f for f in (*example.left, *example.right)}
        for state in (left, right):
            _holds_exactly(server, state, list(union.values()))

    for_all(_halves(server), test, max_examples=8)


@laws.check(STATE)
def separate_states(server: Server) -> None:
    """What is added to one state becomes a member of no other."""
    here, there = server.fresh(), server.fresh()
    state, other = server.holding(here), server.holding(there)
    _holds_exactly(server, state, [here])
    _holds_exactly(server, other, [there])


@laws.check(STATE)
def root(server: Server) -> None:
    """The root is BLAKE3 over the sorted ids, in a listing, as an ETag, and of the empty state."""
    empty = server.fresh_state()
    server.ask("PUT", f"/v1/states/{empty}").expect(201)
    _holds_exactly(server, empty, [])
    fragments = [server.fresh() for _ in range(5)]
    state = server.holding(*fragments)
    _holds_exactly(server, state, fragments)
    states = server.states()
    for name, members in ((empty, []), (state, fragments)):
        expected = {"name": name, "root": root_of(members), "fragments": len(members)}
        covers(f"GET /v1/states: entry of {name}", expected, states.get(name))


def _holds_exactly(server: Server, state: str, fragments: Collection[Fragment]) -> None:
    answer = server.get(f"/v1/states/{state}").expect(200)
    answer.covers(state_document(state, fragments))
    equal(f"{answer.asked}: ETag", f'"{root_of(fragments)}"', answer.header("etag"))


@st.composite
def _deliveries(draw: st.DrawFn, server: Server) -> Deliveries:
    fragments = draw(fragment_sets(server.model_id))
    indices = range(len(fragments))

    def arrival() -> tuple[int, ...]:
        again = draw(st.lists(st.sampled_from(indices), max_size=2))
        return tuple(draw(st.permutations([*indices, *again])))

    return Deliveries(fragments, arrival(), arrival())


@st.composite
def _halves(draw: st.DrawFn, server: Server) -> Halves:
    fragments = draw(fragment_sets(server.model_id, min_size=2))
    cut = draw(st.integers(1, len(fragments) - 1))
    common = draw(st.integers(0, cut))
    return Halves(fragments[:cut], fragments[cut - common :])
