"""One run: servers, clients and nemesis at once; then healing, final reads, and a verdict."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from latentcrdt.testing.jepsen.aftermath import agree, fetch_all
from latentcrdt.testing.jepsen.nemesis import torment
from latentcrdt.testing.jepsen.recorder import Recorder
from latentcrdt.testing.jepsen.verdict import Verdict, judge
from latentcrdt.testing.jepsen.workload import Workload
from scripts.jepsen.cluster import ServerCluster
from scripts.jepsen.scenarios import Scenario


async def run(
    scenario: Scenario, directory: Path, recorder: Recorder, seed: str, *, are_peers: bool = True
) -> Verdict:
    """Run a scenario in a directory; ``are_peers=False`` is a control that must fail.

    Raises OSError if disks or namespaces cannot be had, ConnectionFailedError if a server does not
    start (again), the latter in a group of exceptions.
    """
    servers = range(scenario.num_servers)
    async with (
        scenario.network(seed) as network,
        ServerCluster(
            network,
            directory,
            scenario.num_servers,
            has_small_disks=scenario.needs_disks,
            are_peers=are_peers,
            sync_interval_s=scenario.sync_interval_s,
        ) as cluster,
        Workload(
            [network.client_url(server) for server in servers], recorder, scenario.pace, seed
        ) as workload,
    ):
        over = asyncio.Event()
        async with asyncio.TaskGroup() as clients:
            clients.create_task(workload.run(over))
            async with asyncio.TaskGroup() as nemeses:
                nemeses.create_task(asyncio.sleep(scenario.duration_s))
                for n, faults in enumerate(scenario.faults(seed)):
                    rng = random.Random(f"{seed}/nemesis/{n}")  # noqa: S311
                    nemeses.create_task(torment(cluster, faults, recorder, scenario.timing, rng))
            over.set()
        await asyncio.sleep(scenario.quiet_s)
        agreement_s = await agree(workload, recorder, servers, scenario.patience_s)
        fetches = await fetch_all(workload, recorder.history(), servers)
    return judge(recorder.history(), servers, fetches, agreement_s)
