"""Repaired renders through a real server, with a repair that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client
from latentcrdt.client.calls import Call
from latentcrdt.client.flows.steps import Step
from latentcrdt.client.gate import Gate
from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import Derived, check_repairable, companion_of
from latentcrdt.core.documents import plan_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.errors import (
    InvalidRequestError,
    NothingToRenderError,
    UnexpectedAnswerError,
    UnrepairableError,
)
from latentcrdt.render.stream import render
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt.testing.fragments import make_fragment
from tests.server.guards import secret_of, write_tokens


@dataclass
class Reversal:
    """Turns the bytes of every V section around: what a model would do, but quicker."""

    salt: int = 0
    """Another machine's model run: same derivation, other bytes."""
    applied: list[RenderPlan] = field(default_factory=list)

    def derivation(self, plan: RenderPlan) -> Derivation:
        check_repairable(plan)
        inputs = tuple(p.fragment_id for p in plan.placements)
        return Derivation.of(Operation.REPAIR, "reversal", {}, plan.class_id, inputs)

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        self.applied.append(plan)
        whole = render(plan, fragments)
        skipped = plan.num_tokens - (plan.next_position - plan.base)
        sections = []
        for i, spec in enumerate(plan.geometry.layers):
            keys = rows_behind(whole.keys(i), spec.num_kv_heads, skipped, plan.num_tokens)
            values = rows_behind(whole.values(i), spec.num_kv_heads, skipped, plan.num_tokens)
            sections.append((keys, bytes([self.salt]) + values[:0:-1]))
        return Fragment.build(
            plan.geometry,
            sections,
            start=plan.base,
            seq_len=plan.next_position - plan.base,
            prefix=plan.prefixes[-1].fragment_id if plan.prefixes else None,
            token_ids=joined(plan, fragments),
        )


def rows_behind(section: memoryview, heads: int, skipped: int, num_tokens: int) -> bytes:
    size = len(section) // heads
    first = size // num_tokens * skipped
    return b"".join(bytes(section[h * size + first : (h + 1) * size]) for h in range(heads))


def joined(plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> list[int] | None:
    parts = [fragments[p.fragment_id].header.token_ids for p in plan.placements]
    return None if None in parts else [i for part in parts for i in part]


def tell(seed: int, **choices: object) -> Fragment:
    return make_fragment(seed, seq_len=3, token_ids=[seed, seed + 1, seed + 2], **choices)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process.url


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.fixture
def state(client: Client) -> str:
    """A state of two fragments behind a prefix, which no other test has."""
    name, seed = f"s-{uuid4().hex}", int.from_bytes(uuid4().bytes[:2]) + 1000
    prefix = tell(seed)
    client.push(name, prefix)
    for i in (1, 2):
        client.push(name, tell(seed + i, start=3, prefix=prefix.fragment_id))
    return name


def test_what_one_made_the_next_one_finds(
    make_client: Callable[..., Client], server: str, state: str
) -> None:
    makes, finds = Reversal(), Reversal(salt=9)
    with make_client(server) as client:
        made = client.derive(state, repair=makes)
        found = client.derive(state, repair=finds)
        assert (len(makes.applied), len(finds.applied)) == (1, 0)
        assert found == made
        assert found.render.to_bytes() == made.render.to_bytes()
        assert client.render(state, repair=finds).to_bytes() == made.render.to_bytes()


def test_it_is_the_render_of_its_companion_state(client: Client, state: str) -> None:
    made = client.derive(state, repair=Reversal())
    assert made.companion == companion_of(made.derivation)
    assert client.render(made.companion).to_bytes() == made.render.to_bytes()
    assert made.render.plan.next_position == made.source.next_position
    assert made.render.plan.num_tokens == made.source.num_tokens


def test_it_is_no_member_of_the_state_that_it_was_made_of(client: Client, state: str) -> None:
    before = client.state(state).root
    client.derive(state, repair=Reversal())
    assert client.state(state).root == before


def test_a_state_that_has_grown_is_repaired_anew(client: Client, state: str) -> None:
    first = client.derive(state, repair=Reversal())
    grown = tell(7, start=3, prefix=first.source.prefixes[0].fragment_id)
    client.push(state, grown)
    repair = Reversal()
    second = client.derive(state, repair=repair)
    assert len(repair.applied) == 1
    assert second.companion != first.companion
    assert second.source.num_tokens == first.source.num_tokens + 3


def test_of_the_results_of_several_machines_everyone_takes_the_one_with_the_smallest_id(
    client: Client, state: str
) -> None:
    first = client.derive(state, repair=Reversal())
    fragments = {i: client.fetch(i) for i in ids_of(first.source)}
    others = [Reversal(salt).apply(first.source, fragments) for salt in (1, 2, 3)]
    for other in others:
        client.push(first.companion, other)
    smallest = min([first.fragment_id, *(other.fragment_id for other in others)])
    assert client.derive(state, repair=Reversal()).fragment_id == smallest


def test_a_result_made_meanwhile_counts_too(client: Client, state: str, server: str) -> None:
    """Another machine leaves a result with a smaller id while this one still computes."""
    probe = client.derive(state, repair=Reversal())
    client.push(state, tell(8, start=3, prefix=probe.source.prefixes[0].fragment_id))

    class Slow(Reversal):
        def apply(self, plan, fragments):
            mine = super().apply(plan, fragments)
            rivals = [Reversal(salt).apply(plan, fragments) for salt in range(1, 9)]
            self.smallest = min(rivals, key=lambda f: f.fragment_id)
            with Client(server) as other:
                other.push(companion_of(self.derivation(plan)), self.smallest)
            return mine

    slow = Slow()
    got = client.derive(state, repair=slow).fragment_id
    plan = slow.applied[0]
    fragments = {i: client.fetch(i) for i in ids_of(plan)}
    mine = Reversal().apply(plan, fragments).fragment_id
    assert got == min(mine, slow.smallest.fragment_id)
    assert client.derive(state, repair=Reversal()).fragment_id == got


def test_members_of_another_shape_or_other_tokens_are_passed_over(
    client: Client, state: str
) -> None:
    first = client.derive(state, repair=Reversal())
    client.push(state, tell(9, start=3, prefix=first.source.prefixes[0].fragment_id))
    prefix = first.source.prefixes[0].fragment_id
    made = client.derive(state, repair=Reversal())
    shapes = [
        {"start": 3, "seq_len": 8, "prefix": prefix, "token_ids": range(8)},
        {"start": 4, "seq_len": 9, "prefix": prefix, "token_ids": range(9)},
        {"start": 3, "seq_len": 9, "token_ids": range(9)},
        {"start": 3, "seq_len": 9, "prefix": prefix, "token_ids": range(9)},
        {"start": 3, "seq_len": 9, "prefix": prefix},
    ]
    for shape in shapes:
        forged = (make_fragment(seed, **shape) for seed in count())
        smaller = next(f for f in forged if f.fragment_id < made.fragment_id)
        client.push(made.companion, smaller)
    assert client.derive(state, repair=Reversal()) == made
    assert len(client.state(made.companion).members) == 6


def test_a_chosen_order_is_another_derivation(client: Client, state: str) -> None:
    canonical = client.derive(state, repair=Reversal())
    order = tuple(p.fragment_id for p in canonical.source.placements)[::-1]
    bag = client.derive(state, repair=Reversal(), query=RenderQuery(order=order))
    assert tuple(p.fragment_id for p in bag.source.placements) == order
    assert bag.companion != canonical.companion


def test_a_retracted_companion_is_not_made_again_and_the_result_still_is(
    client: Client, state: str
) -> None:
    made = client.derive(state, repair=Reversal())
    client.retract(made.companion)
    repair = Reversal()
    again = client.derive(state, repair=repair)
    assert len(repair.applied) == 1
    assert again == made


def test_a_companion_outlives_the_state_and_keeps_its_prefix(client: Client, state: str) -> None:
    made = client.derive(state, repair=Reversal())
    client.retract(state)
    assert client.render(made.companion).to_bytes() == made.render.to_bytes()


def test_a_companion_reaches_another_server_by_replication(
    client: Client, state: str, server: str, tmp_path: Path
) -> None:
    made = client.derive(state, repair=Reversal())
    with ServerProcess(tmp_path / "data") as other:
        with Client(server) as here, Client(other.url) as there:
            synchronise(RemotePeer(here), RemotePeer(there))
            repair = Reversal()
            assert there.derive(state, repair=repair) == made
        assert repair.applied == []


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED], ids=str)
def test_what_the_repair_refuses_is_raised_before_anything_is_pushed(
    client: Client, state: str, layout: Layout
) -> None:
    stride = 10 if layout is Layout.SLOTTED else None
    with pytest.raises(UnrepairableError, match="layout sequential"):
        client.render(state, RenderQuery(layout=layout, stride=stride), repair=Reversal())


def test_an_empty_state_has_nothing_to_repair(client: Client) -> None:
    name = f"s-{uuid4().hex}"
    client.declare(name)
    with pytest.raises(NothingToRenderError):
        client.derive(name, repair=Reversal())


def test_a_repair_is_asked_for_neither_of_the_server_nor_with_an_earlier_render(
    client: Client, state: str
) -> None:
    rendered: Render = client.render(state)
    with pytest.raises(InvalidRequestError, match="no server has a model"):
        client.render(state, where="server", repair=Reversal())
    with pytest.raises(InvalidRequestError, match="no previous render"):
        client.render(state, previous=rendered, repair=Reversal())


class Misordering(Client):
    """A client whose server announces another order than the canonical one, consistently."""

    def _perform(self, step: Step, gate: Gate) -> Any:
        result = super()._perform(step, gate)
        if not (isinstance(step, Call) and step.path.endswith("/plan")):
            return result
        ids = [FragmentId.parse(entry["id"]) for entry in result["fragments"]][::-1]
        headers = [self.fetch(i).header for i in ids]
        prefixes = [self.fetch(FragmentId.parse(e["id"])).header for e in result["prefixes"]]
        return plan_document(place(headers, prefixes))


def test_a_wrong_order_is_not_repaired(server: str, state: str) -> None:
    repair = Reversal()
    with Misordering(server) as client, pytest.raises(UnexpectedAnswerError, match="canonical"):
        client.derive(state, repair=repair)
    assert repair.applied == []


def test_fragments_that_are_held_are_not_fetched(client: Client, state: str) -> None:
    source = client.derive(state, repair=Reversal()).source
    client.retract(companion_of(Reversal().derivation(source)))
    held = {i: client.fetch(i) for i in ids_of(source)}
    seen: list[int] = []
    client.derive(
        state, repair=Reversal(), held=held, on_progress=lambda done, total: seen.append(done)
    )
    assert seen == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("guarded")
    grants = {
        "owner": [("*", "read add sync admin")],
        "sharer": [("team", "read"), ("repair.*", "read add")],
        "reader": [("team", "read"), ("repair.*", "read")],
        "outsider": [("team", "read")],
    }
    tokens = write_tokens(directory / "tokens", grants)
    with ServerProcess(directory / "data", token_file=tokens) as process:
        yield process


def test_whoever_may_not_share_has_the_result_and_leaves_none(guarded: ServerProcess) -> None:
    def repaired(name: str) -> tuple[Derived, int]:
        repair = Reversal()
        with Client(guarded.url, token=secret_of(name)) as client:
            return client.derive("team", repair=repair), len(repair.applied)

    with Client(guarded.url, token=secret_of("owner")) as owner:
        for seed in (1, 2):
            owner.push("team", tell(seed))
    first, times = repaired("reader")
    assert times == 1
    assert repaired("reader") == repaired("outsider") == (first, 1)
    assert repaired("sharer") == (first, 1)
    assert repaired("reader") == repaired("sharer") == (first, 0)
    assert repaired("outsider") == (first, 1)


def ids_of(plan: RenderPlan) -> list[FragmentId]:
    return [p.fragment_id for p in (*plan.prefixes, *plan.placements)]


def test_the_name_of_a_companion_is_a_states_name_and_tells_the_operation() -> None:
    fragment = tell(1)
    derivation = Reversal().derivation(place([fragment.header]))
    assert companion_of(derivation) == StateName(f"repair.{derivation.derivation_id}"[:63])
