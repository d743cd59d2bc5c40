"""What clients of a simulated cluster push: few fragments, so that they meet often."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.testing.fragments import make_fragment, make_geometry
from latentcrdt.testing.simulation.machine import NUM_SHARDS

NAMES = [StateName("a"), StateName("b"), StateName("doomed")]
DOOMED = NAMES[2]
"""The only state that is ever retracted, so that the others must lose nothing."""

_GEOMETRY = make_geometry(num_layers=1, num_kv_heads=1, head_dim=4)


def _pool() -> list[Fragment]:
    seeds = itertools.count()
    plain = [_make(seeds, seq_len=1 + n % 3) for n in range(10)]
    behind = [_make(seeds, start=f.header.stop, seq_len=2, prefix=f.fragment_id) for f in plain[:3]]
    return [*plain, *behind]


def _make(seeds: Iterator[int], **choices: Any) -> Fragment:
    """Return a fragment that falls into one of the few shards."""
    made = (make_fragment(seed, geometry=_GEOMETRY, **choices) for seed in seeds)
    return next(f for f in made if f.fragment_id[0] < NUM_SHARDS)


POOL = _pool()
"""All fragments there are; three stand behind others."""

CONTENT = {fragment.fragment_id: fragment.to_bytes() for fragment in POOL}
