"""Readiness: a small fragment goes the way of a push up to publication, and is read back."""

from __future__ import annotations

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec
from latentcrdt.store.protocol import Store

_PROBE = Fragment.build(
    Geometry("latentcrdt-readiness-probe", Dtype.F32, (), (LayerSpec(1, 1, 1, None),)),
    [(bytes(4), bytes(4))],
    start=0,
    seq_len=1,
)


def probe(store: Store) -> None:
    """Write and read back a few bytes; raises StoreFailedError or StoreFullError.

    Nothing is published: a probe leaves no trace in the store. A bucket is only asked something: to
    write to it at every probe would cost money.
    """
    with store.put(max_bytes=_PROBE.num_bytes, expected_id=_PROBE.fragment_id) as upload:
        upload.write(_PROBE.to_bytes())
        upload.finish().verify()
    store.has(_PROBE.fragment_id)
