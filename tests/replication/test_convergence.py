"""The promise: whatever way the same fragments come, replicas agree to the last byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.core.state import LatentState
from latentcrdt.render.stream import render
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.strategies import deliveries, fragment_sets, fragments, geometries

NAME = StateName("task-42")


def replica_of(items: list[Fragment]) -> Replica:
    replica = Replica(MemoryStore())
    for fragment in items:
        replica.push(NAME, fragment)
    return replica


def rendered(replica: Replica, plan: RenderPlan) -> bytes:
    return b"".join(bytes(chunk) for chunk in replica.render_chunks(plan))


@settings(max_examples=60, deadline=None)
@given(st.data(), fragment_sets(max_size=8))
def test_any_order_and_repetition_gives_the_same_root_and_render(
    data: st.DataObject, items: list[Fragment]
) -> None:
    first = replica_of(items)
    second = replica_of(data.draw(deliveries(items)))
    plan = first.plan(NAME)
    assert second.state(NAME).root == first.state(NAME).root
    assert second.plan(NAME) == plan
    assert second.plan(NAME).render_id == plan.render_id
    assert rendered(second, plan) == rendered(first, plan)
    assert second.receipt(plan) == first.receipt(plan)


@settings(max_examples=40, deadline=None)
@given(st.data(), fragment_sets(max_size=8))
def test_any_split_into_replicas_merges_to_the_same_render(
    data: st.DataObject, items: list[Fragment]
) -> None:
    whole = replica_of(items)
    homes = [data.draw(st.sets(st.integers(0, 2), min_size=1)) for _ in items]
    parts = [
        replica_of([f for f, home in zip(items, homes, strict=True) if n in home]) for n in range(3)
    ]
    merged = Replica(MemoryStore())
    for part in data.draw(st.permutations(parts)):
        if part.states():
            for fragment_id in data.draw(st.permutations(part.state(NAME).ids)):
                merged.push(NAME, part.fragments.get(fragment_id))
    assert merged.state(NAME).root == whole.state(NAME).root
    plan = merged.plan(NAME)
    assert plan.render_id == whole.plan(NAME).render_id
    assert rendered(merged, plan) == rendered(whole, whole.plan(NAME))


@settings(max_examples=40, deadline=None)
@given(st.data(), geometries())
def test_fragments_behind_a_fork_point_converge_too(data: st.DataObject, geometry: object) -> None:
    trunk = data.draw(fragments(geometry=geometry))
    branches = data.draw(
        st.lists(
            fragments(geometry=geometry, prefix=trunk),
            min_size=1,
            max_size=4,
            unique_by=lambda f: f.fragment_id,
        )
    )
    first = replica_of([trunk, *branches])
    second = replica_of(data.draw(deliveries([trunk, *branches])))
    plan = first.plan(NAME)
    assert [p.fragment_id for p in plan.prefixes] == [trunk.fragment_id]
    assert plan.base == trunk.header.stop
    assert second.plan(NAME) == plan
    assert rendered(first, plan) == rendered(second, plan)


@settings(max_examples=40, deadline=None)
@given(st.data(), fragment_sets(max_size=4), st.sampled_from([Layout.SEQUENTIAL, Layout.PARALLEL]))
def test_a_stream_and_any_range_of_it_are_the_render_in_memory(
    data: st.DataObject, items: list[Fragment], layout: Layout
) -> None:
    replica = replica_of(items)
    plan = replica.plan(NAME, RenderQuery(layout=layout))
    whole = rendered(replica, plan)
    assert whole == render(plan, replica.fragments_of(plan)).to_bytes()
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    part = b"".join(bytes(c) for c in replica.render_chunks(plan, start=start, stop=stop))
    assert part == whole[start:stop]


@settings(max_examples=30, deadline=None)
@given(fragment_sets(max_size=5))
def test_a_receipt_fits_the_render_that_anyone_makes(items: list[Fragment]) -> None:
    replica = replica_of(items)
    plan = replica.plan(NAME)
    receipt = replica.receipt(plan)
    received = Render.from_buffer(rendered(replica, plan))
    receipt.check(received.run_digests())
    assert list(receipt.keys) == sorted(receipt.keys)
    # Digests come from memory the second time, and are the same.
    assert replica.receipt(plan) == receipt


@settings(max_examples=30, deadline=None)
@given(fragment_sets(max_size=6))
def test_a_replicas_state_is_the_latent_state_of_its_fragments(items: list[Fragment]) -> None:
    replica = replica_of(items)
    ids: set[FragmentId] = {fragment.fragment_id for fragment in items}
    assert replica.state(NAME) == LatentState(ids)
    assert list(replica.fragments.summaries(replica.state(NAME))) == sorted(ids)
