"""Many kills under load, counted: ``python -m tests.object_store.long_run [rounds]``.

In each round two servers are pushed to, one of them is killed and started again; half way through,
one of three volume servers is killed for good. Then every acknowledged fragment is looked for.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.errors import FragmentNotFoundError
from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket
from latentcrdt.store.object_store.store import ObjectStore
from tests.object_store.pushers import Pushers
from tests.object_store.seaweed import BUCKET, SeaweedFS

STORE = f"s3://{BUCKET}/long-run"

PER_ROUND = 150
"""Acknowledged fragments between two kills."""

NUM_THREADS = 6


def run(folder: Path, rounds: int) -> int:
    """Print what was done and what was lost; return how many acknowledged fragments were."""
    with SeaweedFS(folder / "seaweed") as service:
        os.environ.update(service.environment)
        service.wait_until_writable()
        acknowledged = []
        num_failed = 0
        for n in range(rounds):
            processes = [ServerProcess(folder / f"{n}-{m}", store=STORE) for m in range(2)]
            urls = [process.url for process in processes]
            pushers = Pushers(urls, NUM_THREADS, first_seed=n * 1_000_000)
            pushers.wait_for(PER_ROUND)
            if n == rounds // 2:
                service.volumes[0].kill()
                pushers.wait_for(2 * PER_ROUND)
            processes[n % 2].kill()
            pushers.wait_for(len(pushers.acknowledged) + PER_ROUND)
            pushers.stop()
            processes[1 - n % 2].stop()
            acknowledged += pushers.acknowledged
            num_failed += pushers.num_failed
            print(  # noqa: T201  # a report
                f"round {n}: {len(acknowledged)} acknowledged, {num_failed} failed",
                flush=True,
            )
        lost = _lost(folder, [fragment.fragment_id for fragment in acknowledged])
    print(  # noqa: T201  # a report
        f"{rounds} servers and 1 of 3 volume servers killed: {len(acknowledged)} acknowledged, "
        f"{num_failed} failed, {lost} lost"
    )
    return lost


def _lost(folder: Path, acknowledged: list) -> int:
    store = ObjectStore(ObstoreBucket.open(STORE), folder / "reader")
    members = {i for state in store.states().values() for i in state}
    lost = 0
    for fragment_id in acknowledged:
        try:
            store.get(fragment_id)
        except FragmentNotFoundError:
            lost += 1
        else:
            lost += fragment_id not in members
    store.close()
    return lost


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="latentcrdt-") as path:
        sys.exit(1 if run(Path(path), int(sys.argv[1]) if len(sys.argv) > 1 else 6) else 0)
