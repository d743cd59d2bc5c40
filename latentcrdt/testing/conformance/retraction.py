"""Retraction is the top of the lattice: a state that was withdrawn never comes back."""

from __future__ import annotations

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import RETRACTED_ROOT
from latentcrdt.core.sync.roots import Roots
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.expected import root_of
from latentcrdt.testing.conformance.server import Server

retraction = Group("retraction")

RETRACT = "OpenAPI: DELETE /v1/states/{state}"
DECLARE = "OpenAPI: PUT /v1/states/{state}"

LATER = 2**33
"""An end of a lifetime, in Unix seconds, that is nearer than ``LATEST`` and long from now."""

LATEST = 2**34

WRONG_ENDS = ("-1", "soon", "1.5", "9" * 30, "")


@retraction.check(RETRACT)
def for_good(server: Server) -> None:
    """A state is retracted once; whatever is then asked of it, or added, is 410."""
    fragment = server.fresh()
    state = server.holding(fragment)
    server.holding(fragment)  # so that nothing is refused for want of it
    path = f"/v1/states/{state}"
    for is_first in (True, False):
        answer = server.ask("DELETE", path).expect(200)
        answer.covers({"name": state, "retracted": is_first})
        for answer in (
            *(server.get(f"{path}{call}") for call in ("", "/plan", "/render", "/receipt")),
            server.ask("PUT", path),
            server.ask("PUT", f"{path}/members/{fragment.fragment_id}"),
            server.push(state, fragment),
        ):
            answer.problem(410, "state_retracted")
        found = Roots.decode(server.get("/v1/roots").expect(200).body)
        entry = found.states.get(StateName(state))
        equal(f"GET /v1/roots: root of {state}", RETRACTED_ROOT, entry and entry.root)


@retraction.check(RETRACT)
def other_states(server: Server) -> None:
    """What a retracted state held stays wherever another state holds it."""
    common, own = server.fresh(), server.fresh()
    state, other = server.holding(common, own), server.holding(common)
    server.ask("DELETE", f"/v1/states/{state}").expect(200)
    server.get(f"/v1/states/{other}").expect(200).covers({"root": root_of([common])})
    answer = server.get(f"/v1/fragments/{common.fragment_id}").expect(200)
    equal(f"{answer.asked}: body", common.to_bytes(), answer.body)


@retraction.check(DECLARE)
def lifetimes(server: Server) -> None:
    """Of several ends of a lifetime the latest counts; what is no time is an invalid request."""
    state = server.fresh_state()
    for end, grew in ((LATER, True), (LATER, False), (LATEST, True), (LATER, False)):
        answer = server.ask("PUT", f"/v1/states/{state}", params={"expires_at": str(end)})
        answer.expect(201 if grew else 200).covers({"name": state, "created": grew})
    found = Roots.decode(server.get("/v1/roots").expect(200).body)
    entry = found.states.get(StateName(state))
    equal(f"GET /v1/roots: end of {state}", LATEST, entry and entry.expires_at)
    for text in WRONG_ENDS:
        answer = server.ask("PUT", f"/v1/states/{state}", params={"expires_at": text})
        answer.problem(400, "invalid_request")
