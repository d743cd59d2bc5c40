"""One seed, one run: `simulate`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from unittest import mock

from latentcrdt.core.sync import messages
from latentcrdt.store import membership_log, objects
from latentcrdt.testing.simulation.checks import ViolationError
from latentcrdt.testing.simulation.cluster import Cluster
from latentcrdt.testing.simulation.machine import NUM_SHARDS


def simulate(seed: int) -> None:
    """Run one cluster; raises ViolationError, whose message names the seed, when a promise breaks.

    The same seed does the same on every machine: names that real stores draw at random come from
    it, too.
    """
    with _simulated_surroundings(seed):
        cluster = Cluster(seed)
        try:
            cluster.run()
        except ViolationError as violation:
            raise ViolationError(f"seed {seed}: {violation}") from violation


@contextmanager
def _simulated_surroundings(seed: int) -> Iterator[None]:
    rng = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    with (
        mock.patch.object(secrets, "token_hex", lambda n: rng.randbytes(n).hex()),
        mock.patch.object(objects, "NUM_SHARDS", NUM_SHARDS),
        # Small, so that segments are joined and trees have branches.
        mock.patch.object(membership_log, "MAX_SEGMENTS", rng.choice((1, 4))),
        mock.patch.object(messages, "MAX_LEAF_IDS", 1),
    ):
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # every fault is logged, as it should be
        try:
            yield
        finally:
            logging.disable(disabled)
