"""Scenarios: how many servers, which faults, how long."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from latentcrdt.testing.jepsen.deck import (
    LINK_FAULTS,
    NETWORK_FAULTS,
    PARTITIONS,
    RING,
    SERVER_FAULTS,
    Draw,
    deal,
)
from latentcrdt.testing.jepsen.faults import Fault
from latentcrdt.testing.jepsen.namespace_network import NamespaceNetwork
from latentcrdt.testing.jepsen.nemesis import Timing
from latentcrdt.testing.jepsen.network import Network
from latentcrdt.testing.jepsen.proxy_network import ProxyNetwork
from latentcrdt.testing.jepsen.workload import Pace

FULL_DISK = "full disk"
"""In the names of the faults that not every machine can inflict."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of run."""

    num_servers: int
    decks: tuple[Mapping[str, Draw], ...]
    """Faults of different decks happen at the same time."""
    timing: Timing
    pace: Pace
    duration_s: float
    """For which faults come, and clients work; every class of every deck comes once, however long
    that takes."""
    quiet_s: float
    """After the last fault has ended, before the final reads."""
    patience_s: float
    """In which the servers have to agree, beginning with the first final read."""
    sync_interval_s: float
    """Between two rounds of a server with a peer."""
    uses_namespaces: bool = False
    """Whether the network is the kernel's own, in namespaces; if not, it is one of proxies."""

    @property
    def needs_disks(self) -> bool:
        """Whether a disk is to be filled."""
        return any(FULL_DISK in name for deck in self.decks for name in deck)

    def without_full_disks(self) -> Scenario:
        """Return the scenario for a machine on which no disk can be filled."""
        return self._without([name for deck in self.decks for name in deck if FULL_DISK in name])

    def in_namespaces(self) -> Scenario:
        """Return the scenario for network namespaces, whose links are sound or cut, never bad."""
        return replace(self._without(LINK_FAULTS), uses_namespaces=True)

    def network(self, seed: str) -> Network:
        """Return the network that the servers are to be in."""
        if self.uses_namespaces:
            return NamespaceNetwork(self.num_servers)
        return ProxyNetwork(self.num_servers, seed)

    def faults(self, seed: str) -> list[Iterator[Fault]]:
        """Return what befalls the servers, by deck, beginning now."""
        end = time.monotonic() + self.duration_s
        return [self._dealt(deck, f"{seed}/{n}", end) for n, deck in enumerate(self.decks)]

    def _without(self, names: Container[str]) -> Scenario:
        decks = [{n: draw for n, draw in deck.items() if n not in names} for deck in self.decks]
        return replace(self, decks=tuple(decks))

    def _dealt(self, deck: Mapping[str, Draw], seed: str, end: float) -> Iterator[Fault]:
        dealt = deal(seed, deck, self.num_servers)
        yield from islice(dealt, len(deck))
        while deck and time.monotonic() < end:
            yield next(dealt)


EVERYTHING = Scenario(
    num_servers=3,
    decks=(SERVER_FAULTS, {**NETWORK_FAULTS, **LINK_FAULTS}),
    timing=Timing(calm_s=(1.0, 6.0), fault_s=(1.0, 8.0)),
    pace=Pace(num_clients=8, operations_per_s=20.0),
    duration_s=600.0,
    quiet_s=0.0,
    patience_s=120.0,
    sync_interval_s=1.0,
)
"""Every fault there is. A peer that was down for long is asked again after a minute at most."""

BRIEF = replace(
    EVERYTHING,
    timing=Timing(calm_s=(0.1, 0.3), fault_s=(0.5, 1.5)),
    pace=Pace(num_clients=8, operations_per_s=40.0),
    duration_s=0.0,
    sync_interval_s=0.2,
)
"""Every fault once, in about half a minute."""

ANTIDOTEDB_489 = Scenario(
    num_servers=5,
    decks=({**PARTITIONS, **RING},),
    timing=Timing(calm_s=(0.0, 5.0), fault_s=(0.0, 30.0)),
    pace=Pace(num_clients=5, operations_per_s=10.0, timeout_s=1.0),
    duration_s=60.0,
    quiet_s=10.0,
    patience_s=0.0,
    sync_interval_s=1.0,
)
"""Issue 489 of AntidoteDB, "Inter DC partitioning can disrupt replication": five replicas of one
node each, a grow-only set, about ten operations a second for a minute, partitions of up to half a
minute, healing, ten seconds of quiet, and one read of each. There, acknowledged adds were missing
from some of those reads, or from all but that of the replica that had taken them."""

ANTIDOTEDB_489_BRIEF = replace(
    ANTIDOTEDB_489,
    timing=Timing(calm_s=(0.0, 0.5), fault_s=(0.5, 2.5)),
    pace=Pace(num_clients=5, operations_per_s=30.0),
    duration_s=0.0,
    quiet_s=0.0,
    patience_s=120.0,
    sync_interval_s=0.2,
)
"""The same with shorter faults; the servers are read until they agree, for a test of a slow machine
must not depend on seconds."""

BY_NAME = {"everything": EVERYTHING, "antidotedb-489": ANTIDOTEDB_489}
"""What can be asked for on the command line."""
