"""Golden vectors: what every conforming renderer yields, stage by stage (RENDER_SPEC section 8).

Expected values stand in golden.json, which is language-neutral; inputs come from `splitmix`. Here
is the stage that an engine must pass to be used; `latentcrdt.testing.golden` computes all of them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from latentcrdt.core.encoding import digest
from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.errors import EngineSelfTestError
from latentcrdt.render.bits import LARGEST_KEY, SMALLEST_KEY, UNSIGNED
from latentcrdt.render.engine import Engine
from latentcrdt.render.inv_freq import rope_descriptor
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.tables import rotation_table

DELTAS = (1, -77, 4096, 2**31 - 1)
"""Rotations of the vectors, in tokens: small, backward, usual, and the largest there is."""

ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
    "partial": {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "yarn": {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 2048,
    },
    "proportional": {
        "rope_type": "proportional",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
    },
}

HEAD_DIM = 16
NUM_ROWS = 1024


def self_test(engine: Engine) -> None:
    """Raise EngineSelfTestError unless the engine rotates the vectors to the golden digests."""
    actual = rotations(engine)
    for stage, expected in golden()["rotate"].items():
        if actual[stage] != expected:
            raise EngineSelfTestError(
                f"engine {engine.name}, rotate {stage}: expected digest {expected}, "
                f"got {actual[stage]}",
                engine=engine.name,
                stage=stage,
            )


@cache
def golden() -> dict[str, Any]:
    """Return the expected values, stage by stage."""
    text = files("latentcrdt.render").joinpath("golden.json").read_text(encoding="ascii")
    vectors: dict[str, Any] = json.loads(text)
    return vectors


def rotations(engine: Engine) -> dict[str, str]:
    """Return the digest of the rotated key vectors for every dtype and style."""
    digests = {}
    for dtype in Dtype:
        keys = key_vectors(dtype)
        for style in RopeStyle:
            rotated = []
            for name in ("default", "partial", "proportional"):
                for delta in DELTAS:
                    into = np.zeros_like(keys)
                    table = rotation_table(descriptor(name, style), delta, dtype)
                    engine.rotate(keys, into, dtype, table)
                    rotated.append(into.astype(UNSIGNED[dtype]).tobytes())
            digests[f"{dtype}/{style}"] = digest(b"".join(rotated)).hex()
    return digests


def key_vectors(dtype: Dtype) -> np.ndarray[Any, np.dtype[np.unsignedinteger]]:
    """Return key bits ``[2, 512, 16]``: every pair of special values, then splitmix64 ones."""
    sign = 1 << (8 * dtype.itemsize - 1)
    smallest = SMALLEST_KEY[dtype]
    magnitudes = {0, 1, max(smallest - 1, 0), smallest, smallest + 1, LARGEST_KEY[dtype] // 2}
    special = [bits for m in sorted(magnitudes) for bits in (m, m | sign)]
    # Rotated dimensions of both styles meet every pair: row i holds value i, then each in turn.
    rows = [
        [first if column % 2 == 0 else second for column in range(HEAD_DIM)]
        if turn
        else [first] * (HEAD_DIM // 4) + [second] * (HEAD_DIM // 4) + [first] * (HEAD_DIM // 2)
        for first in special
        for second in special
        for turn in (0, 1)
    ]
    fixed = np.array(rows, dtype=UNSIGNED[dtype])
    rest = float_bits(40 + dtype.itemsize, (NUM_ROWS - len(rows)) * HEAD_DIM, dtype)
    random = np.frombuffer(rest, dtype=UNSIGNED[dtype]).reshape(-1, HEAD_DIM)
    return np.concatenate([fixed, random]).reshape(2, NUM_ROWS // 2, HEAD_DIM)


def descriptor(name: str, style: RopeStyle = RopeStyle.HALF) -> RopeDescriptor:
    """Return the descriptor of one of ``ROPES``, as the vectors use it."""
    return rope_descriptor(
        ROPES[name], head_dim=HEAD_DIM, style=style, max_position_embeddings=16384
    )
