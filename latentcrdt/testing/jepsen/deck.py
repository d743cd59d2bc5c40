"""Decks: which faults come in which order, drawn from a seed; each class once a round.

Two decks, dealt side by side, so that a server is killed while the network is parted, and no two
faults undo each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import TypeAlias

from latentcrdt.testing.jepsen.fault_proxy import Conditions
from latentcrdt.testing.jepsen.faults import (
    BadLinks,
    Fault,
    FullDisk,
    Kill,
    Partition,
    Pause,
    Reset,
    RestartOnFullDisk,
    Unplug,
)

Draw: TypeAlias = Callable[[str, random.Random, int], Fault]
"""From the name of a class, a source of chance and the number of servers to a fault."""

Blocked: TypeAlias = tuple[tuple[int, int], ...]


def halves(rng: random.Random, num_servers: int) -> Blocked:
    """Return a minority and a majority that do not hear each other."""
    servers = rng.sample(range(num_servers), num_servers)
    return _between(servers[: num_servers // 2], servers[num_servers // 2 :])


def isolated(rng: random.Random, num_servers: int) -> Blocked:
    """Return one server that hears nobody and that nobody hears."""
    servers = rng.sample(range(num_servers), num_servers)
    return _between(servers[:1], servers[1:])


def all_parted(_: random.Random, num_servers: int) -> Blocked:
    """Return every server alone."""
    return tuple(permutations(range(num_servers), 2))


def one_way(rng: random.Random, num_servers: int) -> Blocked:
    """Return one server that hears all others while none of them hears it."""
    mute = rng.randrange(num_servers)
    return tuple((mute, other) for other in range(num_servers) if other != mute)


def majorities_ring(rng: random.Random, num_servers: int) -> Blocked:
    """Return a ring in which every server hears its two neighbours alone.

    Of five servers each then hears a majority, and no two the same one.
    """
    ring = rng.sample(range(num_servers), num_servers)
    places = {server: place for place, server in enumerate(ring)}
    return tuple(
        (a, b)
        for a, b in permutations(range(num_servers), 2)
        if (places[a] - places[b]) % num_servers not in (1, num_servers - 1)
    )


def _between(some: list[int], others: list[int]) -> Blocked:
    return tuple(pair for a in some for b in others for pair in ((a, b), (b, a)))


def _partition(shape: Callable[[random.Random, int], Blocked]) -> Draw:
    return lambda name, rng, num_servers: Partition(
        name, shape(rng, num_servers), outlasts_connections=rng.random() < 0.5
    )


def _links(conditions: Conditions) -> Draw:
    return lambda name, _rng, _num_servers: BadLinks(name, conditions)


SERVER_FAULTS: Mapping[str, Draw] = {
    "kill": lambda name, rng, n: Kill(name, (rng.randrange(n),)),
    "kill all": lambda name, _, n: Kill(name, tuple(range(n))),
    "pause": lambda name, rng, n: Pause(name, (rng.randrange(n),)),
    "full disk": lambda name, rng, n: FullDisk(name, (rng.randrange(n),)),
    "restart on a full disk": lambda name, rng, n: RestartOnFullDisk(name, (rng.randrange(n),)),
}
"""Faults of servers, by class."""

PARTITIONS: Mapping[str, Draw] = {
    "partition in halves": _partition(halves),
    "partition of one": _partition(isolated),
    "partition of all": _partition(all_parted),
    "partition one way": _partition(one_way),
}
"""Partitions of three servers or more, by class."""

RING: Mapping[str, Draw] = {"partition in a ring": _partition(majorities_ring)}
"""For four servers or more."""

NETWORK_FAULTS: Mapping[str, Draw] = {
    **PARTITIONS,
    "unplugged server": lambda name, rng, n: Unplug(name, rng.randrange(n)),
    "reset connections": lambda name, _rng, _n: Reset(name),
}
"""Faults of any network, by class."""

LINK_FAULTS: Mapping[str, Draw] = {
    "slow links": _links(Conditions(delay_s=(0.02, 0.4))),
    "dripping links": _links(Conditions(delay_s=(0.01, 0.05), piece_bytes=200)),
    "cut connections": _links(Conditions(cut_after_bytes=(0, 5000))),
}
"""Faults that a network of proxies alone can have, by class."""


def deal(seed: str, draws: Mapping[str, Draw], num_servers: int) -> Iterator[Fault]:
    """Yield faults without end: every class once, in any order, then all of them again."""
    rng = random.Random(seed)  # noqa: S311
    while draws:
        for name in rng.sample(sorted(draws), len(draws)):
            yield draws[name](name, rng, num_servers)
