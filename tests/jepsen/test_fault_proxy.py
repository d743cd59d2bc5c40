"""The proxy over real sockets: what each fault does, and that healing undoes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from latentcrdt.testing.jepsen.fault_proxy import CLEAR, Conditions, FaultProxy, Lane
from tests.jepsen.echo import Caller, echoing, round_trip_of_another_connection, run

BLOCKED = Conditions(is_blocked=True)


class Waits:
    """A clock for the proxy: remembers how long it was to wait, and lets no time pass."""

    def __init__(self) -> None:
        self.durations: list[float] = []
        self.asked = asyncio.Event()

    async def sleep(self, duration: float) -> None:
        self.durations.append(duration)
        self.asked.set()


@asynccontextmanager
async def proxied(seed: str = "0", waits: Waits | None = None) -> AsyncIterator[tuple]:
    sleep = waits.sleep if waits else asyncio.sleep
    async with echoing() as echo, FaultProxy(seed, sleep=sleep) as proxy:
        proxy.target = echo.address
        yield proxy, echo


def test_bytes_pass_both_ways_and_so_does_the_end():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            caller = await Caller.connect(proxy)
            data = bytes(range(256)) * 4000
            caller.send(data)
            assert await caller.receive(len(data)) == data
            caller.writer.write_eof()
            assert await caller.rest() == b""
            assert bytes(echo.received[0]) == data

    run(scenario)


def test_a_blocked_way_holds_bytes_back_until_it_heals_while_the_other_way_is_open():
    async def scenario() -> None:
        waits = Waits()
        async with proxied(waits=waits) as (proxy, echo):
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            assert await caller.receive(1) == b"1"

            proxy.backward.change(BLOCKED)
            caller.send(b"2")
            await echo.until(lambda: bytes(echo.received[0]) == b"12")
            proxy.forward.change(Conditions(is_blocked=True, delay_s=(1, 1)))
            proxy.backward.change(CLEAR)
            assert await caller.receive(1) == b"2"

            caller.send(b"3")
            await waits.asked.wait()  # the piece has reached the gate
            await round_trip_of_another_connection(echo)
            assert bytes(echo.received[0]) == b"12"
            proxy.forward.change(CLEAR)
            assert await caller.receive(1) == b"3"

    run(scenario)


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_nobody_connects_while_a_way_is_blocked(way: str):
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            lane: Lane = getattr(proxy, way)
            lane.change(BLOCKED)
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            await round_trip_of_another_connection(echo)
            assert [bytes(received) for received in echo.received] == [b"x"]
            lane.change(CLEAR)
            assert await caller.receive(1) == b"1"

    run(scenario)


def test_the_end_of_a_connection_is_held_back_too():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            await caller.receive(1)
            proxy.backward.change(BLOCKED)
            caller.writer.write_eof()
            rest = asyncio.create_task(caller.rest())
            await round_trip_of_another_connection(echo)
            assert not rest.done()
            proxy.backward.change(CLEAR)
            assert await rest == b""

    run(scenario)


def test_a_drip_comes_in_small_pieces_each_after_its_delay():
    async def scenario() -> None:
        waits = Waits()
        async with proxied(waits=waits) as (proxy, _):
            proxy.forward.change(Conditions(piece_bytes=3, delay_s=(0.5, 2.0)))
            caller = await Caller.connect(proxy)
            caller.send(b"0123456789")
            assert await caller.receive(10) == b"0123456789"
            assert len(waits.durations) == 4
            assert all(0.5 <= duration <= 2.0 for duration in waits.durations)

    run(scenario)


def drawn(seed: str) -> list[float]:
    """Delays that two connections meet."""
    waits = Waits()

    async def scenario() -> None:
        async with proxied(seed, waits) as (proxy, _):
            proxy.forward.change(Conditions(piece_bytes=1, delay_s=(0.0, 1.0)))
            for _ in range(2):
                caller = await Caller.connect(proxy)
                caller.send(b"abcd")
                await caller.receive(4)

    run(scenario)
    return waits.durations


def test_the_same_seed_draws_the_same_delays_and_another_draws_others():
    first = drawn("1")
    assert len(set(first)) == 8
    assert drawn("1") == first
    assert drawn("2") != first


def test_a_cut_lets_so_many_bytes_pass_and_then_resets_both_ends():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            proxy.forward.change(Conditions(cut_after_bytes=(5, 5), piece_bytes=2))
            caller = await Caller.connect(proxy)
            caller.send(b"0123456789")
            with pytest.raises(ConnectionResetError):
                await caller.rest()
            await echo.until(lambda: echo.broken == 1)
            assert bytes(echo.received[0]) == b"01234"

    run(scenario)


def test_a_reset_by_one_end_is_held_back_too():
    async def scenario() -> None:
        async with proxied() as (proxy, echo), FaultProxy("breaks at will") as near:
            near.target = proxy.address
            caller = await Caller.connect(near)
            caller.send(b"1")
            await caller.receive(1)
            proxy.forward.change(BLOCKED)
            near.reset()
            await round_trip_of_another_connection(echo)
            assert echo.broken == 0
            proxy.forward.change(CLEAR)
            await echo.until(lambda: echo.broken == 1)

    run(scenario)


def test_a_connection_reset_while_it_was_held_back_never_reaches_the_target():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            proxy.forward.change(BLOCKED)
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            await round_trip_of_another_connection(echo)
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                await caller.rest()
            proxy.forward.change(CLEAR)
            await round_trip_of_another_connection(echo)
            assert [bytes(received) for received in echo.received] == [b"x", b"x"]

    run(scenario)


def test_where_a_connection_is_cut_is_drawn_anew_for_each():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            proxy.forward.change(Conditions(cut_after_bytes=(0, 1000), piece_bytes=1))
            for _ in range(5):
                caller = await Caller.connect(proxy)
                caller.send(bytes(2000))
                with pytest.raises(ConnectionResetError):
                    await caller.receive(2000)
            lengths = {len(received) for received in echo.received}
            assert len(lengths) > 2
            assert max(lengths) <= 1000

    run(scenario)


def test_a_reset_breaks_what_is_open_and_leaves_what_comes_later():
    async def scenario() -> None:
        async with proxied() as (proxy, _):
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            await caller.receive(1)
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                await caller.rest()
            again = await Caller.connect(proxy)
            again.send(b"2")
            assert await again.receive(1) == b"2"

    run(scenario)


def test_a_proxy_whose_target_is_gone_resets_and_finds_the_next_one():
    async def scenario() -> None:
        async with proxied() as (proxy, echo):
            proxy.target = None
            with pytest.raises(ConnectionResetError):
                await (await Caller.connect(proxy)).rest()
            proxy.target = echo.address
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            assert await caller.receive(1) == b"1"

    run(scenario)


def test_a_target_that_breaks_off_is_seen_by_the_caller():
    async def scenario() -> None:
        async with FaultProxy("near") as proxy, FaultProxy("without a target: resets") as far:
            proxy.target = far.address
            caller = await Caller.connect(proxy)
            caller.send(b"1")
            with pytest.raises(ConnectionResetError):
                await caller.receive(1)

    run(scenario)
