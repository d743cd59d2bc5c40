"""One flipped bit in each of many objects: scrub finds them all, a peer's replica heals them."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.store.scrub import scrub
from latentcrdt.testing.fragments import make_fragment
from scripts.durability.row import Row

STATE = StateName("rot")


def bit_rot(num_objects: int) -> Row:
    """Flip, scrub, heal, and scrub again."""
    row = Row("one bit flipped in an object", "header and body", points=num_objects)
    rng = Random(0)  # noqa: S311  # a seed must give the same run
    fragments = {f.fragment_id: f for f in map(make_fragment, range(num_objects))}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Replica(MemoryStore())) as peer,
        closing(DirectoryStore(folder)) as store,
        closing(Replica(store)) as replica,
    ):
        for fragment in fragments.values():
            for holder in (peer, replica):
                holder.push(STATE, fragment)
        row.acknowledged = len(fragments)
        for fragment_id in fragments:
            path = Path(folder) / "obj" / str(fragment_id)[:2] / str(fragment_id)
            data = bytearray(path.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
        found = {f.fragment_id for f in scrub(store) if f.problem is not None}
        kept_aside = len(list((Path(folder) / "quarantine").iterdir()))
        row.broken += [f"{i}: not found" for i in fragments if i not in found]
        if list(store.ids()) or kept_aside != num_objects:
            row.broken.append(f"expected all in quarantine, got {kept_aside}")
        synchronise(LocalPeer(replica), LocalPeer(peer))
        row.broken += [str(f.problem) for f in scrub(store) if f.problem is not None]
        if set(store.ids()) != set(fragments) or replica.state(STATE) != LatentState(fragments):
            row.broken.append("not healed")
        row.note = (
            f"{len(found)} found, {kept_aside} in quarantine, {len(list(store.ids()))} healed"
        )
    return row
