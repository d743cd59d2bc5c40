"""No change to a fragment's file gets past the server, and none leaves a trace."""

from __future__ import annotations

from pathlib import Path

import httpx2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from latentcrdt_server.problems import STATUS

from latentcrdt.errors import error_class
from latentcrdt.testing.fragments import make_fragment
from tests.server.wire import push, stored

ORIGINAL = make_fragment(777_777, token_ids=[5, 6, -1, 7, 8])
DATA = ORIGINAL.to_bytes()


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Overwrite, cut out, insert or repeat a few bytes, most often in preamble or header."""
    data = bytearray(DATA)
    for _ in range(draw(st.integers(1, 3))):
        limit = draw(st.sampled_from([16, len(ORIGINAL.framing), len(data)]))
        at = draw(st.integers(0, min(limit, len(data))))
        length = draw(st.integers(0, 40))
        new = draw(st.binary(max_size=40))
        kind = draw(st.sampled_from(["overwrite", "cut", "insert", "repeat", "truncate"]))
        if kind == "overwrite":
            data[at : at + len(new)] = new
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "insert":
            data[at:at] = new
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        else:
            del data[at:]
    return bytes(data)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(mutations())
def test_any_mutation_of_a_fragment_is_refused_with_a_code_and_leaves_no_trace(
    http: httpx2.Client, data_dir: Path, mutated: bytes
) -> None:
    assume(mutated != DATA)
    before = http.get("/v1/states").content, stored(data_dir)
    answer = push(http, "mutations", mutated, fragment_id=str(ORIGINAL.fragment_id))
    assert 400 <= answer.status_code < 500
    code = answer.json()["code"]
    assert STATUS[code] == answer.status_code
    assert error_class(code) is not None
    assert (http.get("/v1/states").content, stored(data_dir)) == before
