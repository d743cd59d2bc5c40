"""Networks of namespaces: what the router swallows, what heals, and that nothing remains."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from latentcrdt.testing.jepsen.faults import Partition
from latentcrdt.testing.jepsen.namespace_network import PORT, NamespaceNetwork, why_unavailable
from latentcrdt.testing.jepsen.network_namespace import OWN, NetworkNamespace
from tests.jepsen.echo import PATIENCE_S, Caller, Echo, echoing, run
from tests.jepsen.test_faults import ScriptedCluster

HOLDER = """
import asyncio, subprocess
from latentcrdt.testing.jepsen.namespace_network import NamespaceNetwork

async def main():
    async with NamespaceNetwork(2) as network:
        inside = [*network.place(0).command, "sh", "-c", "echo $$; exec sleep 600"]
        subprocess.Popen(inside)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)


def address(server: int) -> tuple[str, int]:
    return f"198.18.{server}.2", PORT


def own() -> Path:
    return Path(OWN).readlink()


def namespace_of(pid: int | str) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def living() -> set[Path]:
    """The network namespaces in which a process is."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.add(namespace_of(process.name))
    return found


def interfaces() -> list[str]:
    """Those of the namespace in which sysfs was mounted, wherever this thread is."""
    return sorted(entry.name for entry in Path("/sys/class/net").iterdir())


def datagrams(network: NamespaceNetwork, server: int) -> socket.socket:
    """A server's socket for datagrams: each arrives or not, and none is sent again."""
    with network.namespaces[server].entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(address(server))
    made.settimeout(60)
    return made


def test_a_blocked_way_swallows_packets_and_the_way_back_does_not():
    async def scenario() -> None:
        async with NamespaceNetwork(3) as network:
            with datagrams(network, 0) as zero, datagrams(network, 1) as one:
                await network.block([(0, 1), (0, 2)])
                zero.sendto(b"swallowed", address(1))
                one.sendto(b"passes", address(0))
                assert zero.recv(99) == b"passes"
                await network.heal()
                zero.sendto(b"healed", address(1))
                assert one.recv(99) == b"healed"

    run(scenario)


def test_servers_of_one_side_still_hear_each_other():
    async def scenario() -> None:
        async with NamespaceNetwork(3) as network:
            with datagrams(network, 1) as one, datagrams(network, 2) as two:
                await network.block([(0, 1), (1, 0), (0, 2), (2, 0)])
                one.sendto(b"side by side", address(2))
                assert two.recv(99) == b"side by side"

    run(scenario)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[NamespaceNetwork, Echo, Caller]]:
    """A connection that server 0 has opened to server 1, which sends back what it gets."""
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(NamespaceNetwork(2))
        with network.namespaces[1].entered():
            echo = await stack.enter_async_context(echoing(*address(1)))
        caller = Caller()
        with network.namespaces[0].entered():
            caller.reader, caller.writer = await asyncio.open_connection(*address(1))
        stack.callback(caller.writer.close)
        yield network, echo, caller


@pytest.mark.parametrize("outlasts", [True, False])
def test_connections_survive_a_partition_unless_it_outlasts_them(outlasts: bool):
    async def scenario() -> None:
        async with connected() as (network, echo, caller):
            cluster = ScriptedCluster(network)
            fault = Partition("parted", ((1, 0),), outlasts)
            await fault.begin(cluster)
            caller.send(b"?")
            await echo.until(lambda: echo.received == [b"?"])
            await fault.end(cluster)
            if outlasts:
                with pytest.raises(ConnectionError):
                    await caller.rest()
                await echo.until(lambda: echo.broken == 1)
            else:
                assert await caller.receive(1) == b"?"

    run(scenario)


def test_a_reset_breaks_connections_of_clients_and_peers_alike():
    async def scenario() -> None:
        async with connected() as (network, _, caller):
            client = Caller()
            client.reader, client.writer = await asyncio.open_connection(*address(1))
            await network.reset()
            for each in (client, caller):
                with pytest.raises(ConnectionError):
                    await each.rest()
            client.writer.close()

    run(scenario)


def test_clients_do_not_reach_an_unplugged_server_until_it_is_plugged_in():
    async def scenario() -> None:
        async with connected() as (network, echo, caller):
            await network.unplug(1)
            with pytest.raises(OSError, match="unreachable"):
                await asyncio.open_connection(*address(1))
            caller.send(b"later")
            await network.heal()
            assert await caller.receive(5) == b"later"
            _, writer = await asyncio.open_connection(*address(1))
            writer.close()
            assert not echo.broken

    run(scenario)


def test_nothing_outside_of_the_namespaces_changes():
    before = interfaces()
    namespace = own()

    async def scenario() -> None:
        async with NamespaceNetwork(2):
            assert own() != namespace
            assert interfaces() == before
        assert own() == namespace

    run(scenario)


def test_a_killed_run_leaves_no_process_and_no_namespace():
    killed = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    inside = int(killed.stdout.readline())
    namespaces = {namespace_of(pid) for pid in (killed.pid, inside)}
    assert len(namespaces | {own()}) == 3
    killed.kill()
    killed.wait()
    killed.stdout.close()
    deadline = time.monotonic() + PATIENCE_S
    try:
        while namespaces & living():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        with suppress(ProcessLookupError):
            os.kill(inside, signal.SIGKILL)


def test_what_ip_says_of_a_mistake_is_what_the_error_says():
    with (
        closing(NetworkNamespace()) as namespace,
        pytest.raises(OSError, match='Cannot find device "nowhere"'),
    ):
        namespace.run("ip", "-batch", "-", lines=["link set nowhere up"])
