"""Replicas over one bucket: whoever was pushed to, all agree to the last byte once they look."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket
from latentcrdt.store.object_store.store import ObjectStore
from latentcrdt.testing.strategies import deliveries, fragment_sets

NAME = StateName("task-42")
NUM_REPLICAS = 3


@settings(max_examples=25, deadline=None)
@given(st.data(), fragment_sets(max_size=6))
def test_pushes_to_any_of_them_give_the_same_root_and_render(
    data: st.DataObject, items: list[Fragment]
) -> None:
    alone = Replica(MemoryStore())
    for fragment in items:
        alone.push(NAME, fragment)
    bucket = ObstoreBucket.open("memory://")
    with tempfile.TemporaryDirectory() as cache:
        replicas = [Replica(ObjectStore(bucket, Path(cache))) for _ in range(NUM_REPLICAS)]
        for fragment in data.draw(deliveries(items)):
            replica = data.draw(st.sampled_from(replicas))
            replica.push(NAME, fragment)
            if data.draw(st.booleans()):
                data.draw(st.sampled_from(replicas)).refresh()
        for replica in replicas:
            replica.refresh()
            assert replica.state(NAME) == alone.state(NAME)
            plan = replica.plan(NAME)
            assert plan == alone.plan(NAME)
            assert rendered(replica, plan) == rendered(alone, plan)
            assert replica.receipt(plan) == alone.receipt(plan)
            # Whoever follows one of them by its feed hears of what others were pushed.
            assert replica.changes().deltas[NAME] == alone.state(NAME)
        for replica in replicas:
            replica.close()


def rendered(replica: Replica, plan) -> bytes:
    return b"".join(bytes(chunk) for chunk in replica.render_chunks(plan))
