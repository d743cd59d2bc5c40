"""Loaded by schemathesis: what this API's bodies look like, and what is stored to be found."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st
from latentcrdt_server.negotiation import MSGPACK_TYPES
from latentcrdt_server.openapi import FRAGMENT_TYPE, OCTETS_TYPE
from schemathesis import GenerationMode

from latentcrdt.core.encoding import pack_document, unpack_document
from latentcrdt.core.ids import FragmentId
from latentcrdt.testing.fragments import make_fragment, make_geometry
from scripts.fuzz.known import Known

KNOWN = Known.from_environment()

SEEDS = range(2000, 2100)


@st.composite
def fragments(draw: st.DrawFn) -> bytes:
    """Return a fragment file, small and honest."""
    prefix = draw(st.none() | st.binary(min_size=32, max_size=32).map(FragmentId))
    geometry = make_geometry(num_layers=draw(st.integers(1, 3)))
    return make_fragment(
        draw(st.sampled_from(SEEDS)),
        geometry=geometry,
        start=draw(st.integers(0, 100)),
        seq_len=draw(st.integers(1, 9)),
        prefix=prefix,
    ).to_bytes()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a fragment file with some of its bytes changed, cut out or repeated."""
    data = bytearray(draw(fragments()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    return bytes(data)


schemathesis.openapi.media_type(FRAGMENT_TYPE, fragments())
schemathesis.openapi.media_type(OCTETS_TYPE, damaged())


@schemathesis.serializer(*MSGPACK_TYPES)
def write_msgpack(_context: Any, value: Any) -> dict[str, bytes]:
    """Write a document; what is bytes already is sent as it is."""
    try:
        return {"data": value if isinstance(value, bytes) else pack_document(value)}
    except OverflowError:  # no integer of msgpack: what a sloppy sender might send instead
        return {"data": repr(value).encode()}


@schemathesis.deserializer(*MSGPACK_TYPES)
def read_msgpack(_context: Any, response: Any) -> Any:
    """Read an answer, so that it is held to its schema as JSON is."""
    document = unpack_document(response.content)
    # What replicas ask of each other is no document: to the description, it is bytes.
    return document if isinstance(document, dict) else response.content.hex()


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Let two of three requests that are as described meet something that is stored."""
    parameters = case.path_parameters or {}
    is_valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if not is_valid or case.method == "DELETE":  # which would be the end of what is stored
        return
    for parameter, known in (("state", KNOWN.states), ("fragment", KNOWN.fragments)):
        value = parameters.get(parameter)
        if isinstance(value, str) and len(value) % 3:
            parameters[parameter] = known[sum(value.encode()) % len(known)]
