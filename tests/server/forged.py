"""Forgeries of the conformance kit, as these tests need them: see there for what each is."""

from __future__ import annotations

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.testing.conformance.forgeries import with_first_key
from latentcrdt.testing.conformance.forgeries import with_flipped_bit as flip
from latentcrdt.testing.fragments import make_fragment, make_geometry

NAN = 0x7FC00000
"""Bits of an f32."""


def with_flipped_bit(fragment: Fragment) -> bytes:
    """Return the fragment's file with one bit of its last section turned over."""
    return flip(fragment.to_bytes(), 8 * (fragment.num_bytes - 5))


def with_nan_keys(seed: int) -> bytes:
    """Return a fragment file, honest in every digest, whose first K element is NaN."""
    geometry = make_geometry(dtype=Dtype.F32, num_layers=1)
    return with_first_key(make_fragment(seed, geometry=geometry), NAN).to_bytes()
