"""Faults: what is drawn, what it does to links, and that it always ends."""

from __future__ import annotations

import asyncio
import io
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice, permutations
from typing import Self

import pytest

from latentcrdt.testing.jepsen.deck import (
    LINK_FAULTS,
    NETWORK_FAULTS,
    SERVER_FAULTS,
    all_parted,
    deal,
    halves,
    isolated,
    majorities_ring,
    one_way,
)
from latentcrdt.testing.jepsen.fault_proxy import Conditions
from latentcrdt.testing.jepsen.faults import BadLinks, Kill, Partition, Reset
from latentcrdt.testing.jepsen.nemesis import BEGUN, ENDED, ENDS, Timing, torment
from latentcrdt.testing.jepsen.network import Network
from latentcrdt.testing.jepsen.proxy_network import ProxyNetwork
from latentcrdt.testing.jepsen.recorder import Recorder
from tests.jepsen.echo import Caller, Echo, echoing, round_trip_of_another_connection, run

ALL = {**SERVER_FAULTS, **NETWORK_FAULTS, **LINK_FAULTS}
AT_ONCE = Timing(calm_s=(0.0, 0.0), fault_s=(0.0, 0.0))


@dataclass
class ScriptedCluster:
    """Remembers what is done to it."""

    network: Network = field(default_factory=lambda: ProxyNetwork(3, "0"))
    done: list[str] = field(default_factory=list)
    breaks_at: str = ""

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what == self.breaks_at:
            raise ConnectionError(what)

    async def kill(self, server: int) -> None:
        self._do(f"kill {server}")

    async def start(self, server: int) -> None:
        self._do(f"start {server}")

    async def pause(self, server: int) -> None:
        self._do(f"pause {server}")

    async def resume(self, server: int) -> None:
        self._do(f"resume {server}")

    async def fill_disk(self, server: int) -> None:
        self._do(f"fill {server}")

    async def free_disk(self, server: int) -> None:
        self._do(f"free {server}")


class Mesh:
    """A network between echo servers."""

    def __init__(self, num_servers: int) -> None:
        self.network = ProxyNetwork(num_servers, "0")
        self.servers: list[Echo] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.network)
        for n in range(len(self.network.fronts)):
            self.servers.append(await self._stack.enter_async_context(echoing()))
            self.network.connect(n, self.servers[n].address)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def call(self, source: int, target: int) -> Caller:
        """A connection over a link that has carried a byte each way."""
        caller = await Caller.connect(self.network.links[source, target])
        caller.send(b".")
        assert await caller.receive(1) == b"."
        return caller


def test_a_blocked_direction_takes_requests_one_way_and_answers_the_other():
    async def scenario() -> None:
        async with Mesh(2) as mesh:
            mute_asks, mute_answers = await mesh.call(0, 1), await mesh.call(1, 0)
            await mesh.network.block([(0, 1)])
            mute_asks.send(b"question")
            mute_answers.send(b"question")
            at_mute, at_other = mesh.servers[0].received[0], mesh.servers[1].received[0]
            await mesh.servers[0].until(lambda: bytes(at_mute) == b".question")
            answer = asyncio.create_task(mute_answers.receive(8))
            await round_trip_of_another_connection(mesh.servers[0])
            assert bytes(at_other) == b"."
            assert not answer.done()
            await mesh.network.heal()
            assert await answer == await mute_asks.receive(8) == b"question"

    run(scenario)


def test_a_partition_leaves_links_between_servers_of_one_side_alone():
    async def scenario() -> None:
        async with Mesh(3) as mesh:
            await mesh.network.block([(0, 1), (1, 0), (0, 2), (2, 0)])
            for source, target in ((1, 2), (2, 1)):
                await mesh.call(source, target)

    run(scenario)


@pytest.mark.parametrize("outlasts", [True, False])
def test_connections_survive_a_partition_unless_it_outlasts_them(outlasts: bool):
    async def scenario() -> None:
        async with Mesh(2) as mesh:
            cluster = ScriptedCluster(mesh.network)
            callers = [await mesh.call(0, 1), await mesh.call(1, 0)]
            fault = Partition("parted", ((0, 1),), outlasts)
            await fault.begin(cluster)
            for caller in callers:
                caller.send(b"?")
            await fault.end(cluster)
            for caller in callers:
                if outlasts:
                    with pytest.raises(ConnectionResetError):
                        await caller.rest()
                else:
                    assert await caller.receive(1) == b"?"
            await mesh.call(0, 1)

    run(scenario)


def test_bad_links_are_cleared_and_a_reset_needs_no_clearing():
    async def scenario() -> None:
        async with Mesh(2) as mesh:
            cluster = ScriptedCluster(mesh.network)
            for fault in (BadLinks("cut", Conditions(cut_after_bytes=(0, 0))), Reset("reset")):
                caller = await mesh.call(0, 1)
                await fault.begin(cluster)
                caller.send(b"?")
                with pytest.raises(ConnectionResetError):
                    await caller.rest()
                await fault.end(cluster)
                await mesh.call(0, 1)

    run(scenario)


def test_every_class_comes_once_a_round_and_the_seed_decides_the_rest():
    dealt = list(islice(deal("1", ALL, 3), 3 * len(ALL)))
    for k in range(3):
        chapter = dealt[k * len(ALL) : (k + 1) * len(ALL)]
        assert sorted(fault.name for fault in chapter) == sorted(ALL)
    assert dealt == list(islice(deal("1", ALL, 3), len(dealt)))
    assert dealt != list(islice(deal("2", ALL, 3), len(dealt)))
    assert list(deal("1", {}, 3)) == []


@pytest.mark.parametrize("num_servers", [3, 4, 5])
@pytest.mark.parametrize("seed", range(5))
def test_partitions_block_what_their_names_say(num_servers: int, seed: int):
    rng = random.Random(seed)
    everything = set(permutations(range(num_servers), 2))
    assert set(all_parted(rng, num_servers)) == everything
    unheard = set(one_way(rng, num_servers))
    (mute,) = {sender for sender, _ in unheard}
    assert unheard == {pair for pair in everything if pair[0] == mute}
    for shape, smaller in ((halves, num_servers // 2), (isolated, 1)):
        blocked = set(shape(rng, num_servers))
        assert blocked == {(b, a) for a, b in blocked}
        assert len(blocked) == 2 * smaller * (num_servers - smaller)


def test_in_a_ring_of_five_every_server_hears_a_majority_and_no_two_the_same():
    blocked = set(majorities_ring(random.Random(0), 5))
    heard = [{a for a in range(5) if a == b or (a, b) not in blocked} for b in range(5)]
    assert {len(majority) for majority in heard} == {3}
    assert len(set(map(frozenset, heard))) == 5


@pytest.mark.parametrize("name", sorted(SERVER_FAULTS))
def test_a_fault_of_servers_leaves_every_server_running_with_room_to_write(name: str):
    undone = {"start": "kill", "resume": "pause", "free": "fill"}

    async def scenario() -> None:
        cluster = ScriptedCluster()
        (fault,) = islice(deal("0", {name: SERVER_FAULTS[name]}, 3), 1)
        await fault.begin(cluster)
        assert cluster.done
        await fault.end(cluster)
        wrong: list[str] = []
        for what in cluster.done:
            act, server = what.split()
            if act in undone:
                wrong.remove(f"{undone[act]} {server}")
            else:
                wrong.append(what)
        assert not wrong

    run(scenario)


def test_the_history_names_each_fault_when_it_begins_and_ends():
    async def scenario() -> None:
        cluster, recorder = ScriptedCluster(), Recorder(io.StringIO())
        faults = [Kill("kill", (1,)), Reset("reset connections")]
        await torment(cluster, faults, recorder, AT_ONCE, random.Random(0))
        assert cluster.done == ["kill 1", "start 1"]
        notes = [(note.function, note.value) for note in recorder.history().faults()]
        assert [name for name, _ in notes] == ["kill"] * 4 + ["reset connections"] * 4
        assert [value for _, value in notes[1:4]] == [BEGUN, ENDS, ENDED]
        assert "servers=(1,)" in str(notes[0][1])

    run(scenario)


def test_a_fault_that_fails_to_begin_is_undone_nevertheless():
    async def scenario() -> None:
        cluster = ScriptedCluster(breaks_at="kill 2")
        faults = [Kill("kill", (0, 2)), Kill("kill", (1,))]
        with pytest.raises(ConnectionError):
            await torment(cluster, faults, Recorder(io.StringIO()), AT_ONCE, random.Random(0))
        assert cluster.done == ["kill 0", "kill 2", "start 0", "start 2"]

    run(scenario)
