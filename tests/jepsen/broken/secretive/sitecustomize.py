"""On the path of a server, this makes it report copies to and from peers that it never made.

One fragment in five stays on the server that took it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.sync.peer import Peer
from latentcrdt.replication.local_peer import LocalPeer


def mostly(take: Callable[..., int]) -> Callable[..., int]:
    def take_most(peer: Any, name: StateName, fragment_id: FragmentId, source: Peer) -> int:
        return take(peer, name, fragment_id, source) if fragment_id[0] % 5 else 0

    return take_most


for kind in (LocalPeer, RemotePeer):
    kind.take = mostly(kind.take)  # type: ignore[method-assign]
