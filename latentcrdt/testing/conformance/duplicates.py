"""Adding is idempotent, and the answer tells whether the state grew."""

from __future__ import annotations

from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.expected import member_document, root_of
from latentcrdt.testing.conformance.server import Server

duplicates = Group("duplicates")

PUSH = "OpenAPI: POST /v1/states/{state}/fragments"
MEMBER = "OpenAPI: PUT /v1/states/{state}/members/{fragment}"
DECLARE = "OpenAPI: PUT /v1/states/{state}"


@duplicates.check(PUSH)
def pushes(server: Server) -> None:
    """The first push of a fragment to a state is 201 and created, every other 200 and not."""
    fragment = server.fresh()
    state = server.fresh_state()
    fragment_id = str(fragment.fragment_id)
    summary = member_document(fragment)
    for name in ("key", "key_hex"):
        del summary[name]
    for status, headers in ((201, {}), (200, {}), (200, {"fragment_id": fragment_id})):
        answer = server.push(state, fragment, **headers).expect(status)
        answer.covers(
            {
                "id": fragment_id,
                "state": state,
                "created": status == 201,
                "fragment": summary,
            }
        )
        server.get(f"/v1/states/{state}").expect(200).covers({"root": root_of([fragment])})


@duplicates.check(PUSH)
def another_state(server: Server) -> None:
    """A fragment that another state holds is new to this one: 201 and created."""
    fragment = server.fresh()
    server.holding(fragment)
    for headers in ({}, {"fragment_id": str(fragment.fragment_id)}):
        state = server.fresh_state()
        server.push(state, fragment, **headers).expect(201).covers({"created": True})


@duplicates.check(MEMBER)
def members(server: Server) -> None:
    """Adding what is held already, by id: 201 and created, then 200 and not."""
    fragment = server.fresh()
    server.holding(fragment)
    state = server.fresh_state()
    path = f"/v1/states/{state}/members/{fragment.fragment_id}"
    for status in (201, 200):
        answer = server.ask("PUT", path).expect(status)
        answer.covers({"id": str(fragment.fragment_id), "state": state, "created": status == 201})
        server.get(f"/v1/states/{state}").expect(200).covers({"root": root_of([fragment])})


@duplicates.check(MEMBER)
def members_that_are_not_held(server: Server) -> None:
    """Adding what is not held is 404 and makes no state."""
    state = server.fresh_state()
    path = f"/v1/states/{state}/members/{server.fresh().fragment_id}"
    server.ask("PUT", path).problem(404, "fragment_not_found")
    server.get(f"/v1/states/{state}").problem(404, "state_not_found")


@duplicates.check(DECLARE)
def declarations(server: Server) -> None:
    """Declaring a state is 201 and created, then 200 and not; members stay."""
    state = server.fresh_state()
    for status in (201, 200):
        answer = server.ask("PUT", f"/v1/states/{state}").expect(status)
        answer.covers({"name": state, "created": status == 201})
    held = server.holding(fragment := server.fresh())
    server.ask("PUT", f"/v1/states/{held}").expect(200).covers({"created": False})
    server.get(f"/v1/states/{held}").expect(200).covers({"root": root_of([fragment])})


@duplicates.check("docs/format.md section 2")
def bytes_come_back(server: Server) -> None:
    """A fragment is fetched as it was pushed, byte for byte, where its push said it is."""
    fragment = server.fresh(token_ids=[1, -1, 3, 4, 5])
    state = server.fresh_state()
    path = f"/v1/fragments/{fragment.fragment_id}"
    pushed = server.push(state, fragment).expect(201)
    # Not asked as it stands: it might name another server, and the request may bear a token.
    equal(f"{pushed.asked}: the end of Location", path, pushed.header("location")[-len(path) :])
    answer = server.get(path).expect(200)
    equal(f"{answer.asked}: body", fragment.to_bytes(), answer.body)
    equal(f"{answer.asked}: Content-Type", "application/vnd.latentcrdt.fragment", answer.media_type)
