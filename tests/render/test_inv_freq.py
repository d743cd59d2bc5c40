from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from latentcrdt.core.geometry import RopeStyle
from latentcrdt.errors import UnsupportedRopeError
from latentcrdt.render.golden import ROPES
from latentcrdt.render.inv_freq import rope_descriptor


def describe(parameters, head_dim=64, max_position_embeddings=16384):
    return rope_descriptor(
        parameters,
        head_dim=head_dim,
        style=RopeStyle.HALF,
        max_position_embeddings=max_position_embeddings,
    )


def ulps_apart(a, b):
    return np.abs(np.float32(a).view(np.int32) - np.float32(b).view(np.int32)).max()


def test_default_frequencies_round_every_operation_correctly():
    theta, dim = 1e6, 128
    expected = []
    for i in range(0, dim, 2):
        exponent = np.float32(i) / np.float32(dim)
        with mpmath.workprec(300):
            exact = mpmath.power(mpmath.mpf(theta), mpmath.mpf(float(exponent)))
            power = np.float32(float(mpmath.mpf(exact)))  # double rounding is excluded below
            sure = abs(exact - float(power)) < abs(np.spacing(power)) * mpmath.mpf("0.4999999")
        assert sure
        expected.append(np.float32(1) / power)
    described = describe({"rope_theta": theta}, head_dim=dim)
    assert described.frequencies == tuple(float(f) for f in expected)


@pytest.mark.parametrize(
    "parameters",
    [
        *ROPES.values(),
        ROPES["yarn"] | {"truncate": False},
        ROPES["yarn"] | {"factor": 32.0, "beta_fast": 8, "beta_slow": 2},
        ROPES["llama3"] | {"factor": 32.0, "rope_theta": 10000.0},
        ROPES["proportional"] | {"factor": 2.0},
    ],
)
def test_every_type_is_within_4_ulp_of_transformers(parameters):
    # The spec's bound: torch's pow is not correctly rounded, and differs between processors.
    config = LlamaConfig(
        hidden_size=512, num_attention_heads=8, head_dim=64, max_position_embeddings=16384
    )
    config.rope_parameters = dict(parameters)
    rope_type = parameters.get("rope_type", "default")
    if rope_type == "default":
        dim = int(64 * parameters.get("partial_rotary_factor", 1.0))
        live = 1.0 / parameters["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float64) / dim)
    else:
        live = ROPE_INIT_FUNCTIONS[rope_type](config, "cpu")[0].numpy()
    frequencies = np.array(describe(parameters).frequencies, dtype=np.float32)
    assert len(frequencies) == len(live)
    assert ulps_apart(frequencies, np.asarray(live, dtype=np.float32)) <= 4


def test_yarn_ramps_between_the_exact_bounds():
    parameters = ROPES["yarn"]
    dim, theta, original = 64, parameters["rope_theta"], 2048

    def bound(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = math.floor(bound(32)), math.ceil(bound(1))
    scaled = np.array(describe(parameters).frequencies)
    plain = np.array(describe({"rope_theta": theta}).frequencies)
    assert np.array_equal(scaled[: low + 1], plain[: low + 1])
    assert ulps_apart(scaled[high:], plain[high:] / parameters["factor"]) <= 1
    between = scaled[low + 1 : high] / plain[low + 1 : high]
    assert np.all(np.diff(between) < 0)


def test_proportional_rope_leaves_the_rest_of_the_pairs_still():
    described = describe(ROPES["proportional"])
    assert described.rotary_dim == 64
    assert described.frequencies.count(0.0) == 24


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope", "mrope", "unheard-of", None])
def test_what_no_rotation_repairs_is_refused_by_name(rope_type):
    with pytest.raises(UnsupportedRopeError, match=str(rope_type)):
        describe({"rope_type": rope_type, "rope_theta": 1e4, "factor": 2.0})


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"rope_theta": "fast"},
        {"rope_type": "linear", "rope_theta": 1e4},
        {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0},
    ],
)
def test_missing_parameters_are_named(parameters):
    with pytest.raises(UnsupportedRopeError, match="expected its usual parameters"):
        describe(parameters)
