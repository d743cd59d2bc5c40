"""Documents come and go as JSON or msgpack, and say the same in both."""

from __future__ import annotations

import json

from latentcrdt.core.encoding import pack_document
from latentcrdt.testing.conformance.answer import JSON_TYPE, MSGPACK_TYPES
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import covers, equal
from latentcrdt.testing.conformance.server import Server

negotiation = Group("negotiation")

ACCEPT = "RFC 9110 section 12.5.1"
MISSING = "OpenAPI: POST /v1/fragments/missing"

PREFERENCES = {
    "*/*": JSON_TYPE,
    "application/json;q=0.5, application/msgpack": "application/msgpack",
    "application/json;q=0.5, application/msgpack;q=0.4": JSON_TYPE,
    "application/vnd.msgpack, */*;q=0.1": "application/vnd.msgpack",
    "application/json;q=0, application/x-msgpack": "application/x-msgpack",
    "APPLICATION/MSGPACK": "application/msgpack",
}
"""What Accept prefers, where it leaves no choice."""


@negotiation.check(ACCEPT)
def documents(server: Server) -> None:
    """Every document says the same as JSON and as msgpack, under each name of it."""
    state = server.holding(server.fresh(), server.fresh())
    for path in ("", "/plan", "/receipt"):
        plain = server.get(f"/v1/states/{state}{path}", accept=JSON_TYPE).expect(200)
        equal(f"{plain.asked}: Content-Type", JSON_TYPE, plain.media_type)
        for media_type in MSGPACK_TYPES:
            answer = server.get(f"/v1/states/{state}{path}", accept=media_type).expect(200)
            equal(f"{answer.asked}: Content-Type", media_type, answer.media_type)
            packed = answer.document()
            covers(f"{answer.asked}, as against JSON", plain.document(), packed)
            covers(f"{plain.asked}, as against msgpack", packed, plain.document())


@negotiation.check(ACCEPT)
def results(server: Server) -> None:
    """What a push, a declaration or an addition came to is told in the form asked for."""
    fragment = server.fresh()
    state = server.fresh_state()
    for media_type in MSGPACK_TYPES:
        answers = (
            server.ask("PUT", f"/v1/states/{state}", headers={"accept": media_type}),
            server.push(state, fragment, accept=media_type),
            server.ask(
                "PUT",
                f"/v1/states/{state}/members/{fragment.fragment_id}",
                headers={"accept": media_type},
            ),
        )
        for answer in answers:
            equal(f"{answer.asked}: Content-Type", media_type, answer.media_type)
            answer.covers({"created": answer.expect(200, 201).status == 201})


@negotiation.check(ACCEPT)
def preferences(server: Server) -> None:
    """Accept decides, by the weights that it gives."""
    state = server.holding(server.fresh())
    for accept, media_type in PREFERENCES.items():
        answer = server.get(f"/v1/states/{state}", accept=accept).expect(200)
        equal(f"{answer.asked}: Content-Type", media_type, answer.media_type)


@negotiation.check("RFC 9110 section 12.5.5")
def vary(server: Server) -> None:
    """What depends on Accept says so, so that no cache gives one form for the other."""
    state = server.holding(server.fresh())
    for path in ("", "/plan", "/receipt"):
        answer = server.get(f"/v1/states/{state}{path}").expect(200)
        named = {name.strip().lower() for name in answer.header("vary").split(",")}
        equal(f"{answer.asked}: whether Vary names Accept", True, bool(named & {"accept", "*"}))


@negotiation.check(MISSING)
def questions(server: Server) -> None:
    """A question is read in each form; bytes of another type are refused by it."""
    lacking = str(server.fresh().fragment_id)
    document = {"ids": [lacking]}
    bodies = {
        JSON_TYPE: json.dumps(document).encode(),
        f"{JSON_TYPE}; charset=utf-8": json.dumps(document).encode(),
        **dict.fromkeys(MSGPACK_TYPES, pack_document(document)),
    }
    path = "/v1/fragments/missing"
    for content_type, body in bodies.items():
        answer = server.ask("POST", path, headers={"content-type": content_type}, body=body)
        answer.expect(200).covers({"missing": [lacking]})
    answer = server.ask("POST", path, headers={"content-type": "text/csv"}, body=b"a,b")
    answer.problem(415, "unsupported_media_type")


@negotiation.check(MISSING)
def broken_questions(server: Server) -> None:
    """Bytes that are no document of the type that they claim are an invalid request."""
    for content_type, body in (
        (JSON_TYPE, b""),
        (JSON_TYPE, b'{"ids": ['),
        (JSON_TYPE, b"\xff"),
        (JSON_TYPE, b"[" * 10_000),
        (MSGPACK_TYPES[0], b""),
        (MSGPACK_TYPES[0], b"\xc1"),
        (MSGPACK_TYPES[0], b"\xdd\xff\xff\xff\xff"),
    ):
        headers = {"content-type": content_type}
        answer = server.ask("POST", "/v1/fragments/missing", headers=headers, body=body)
        answer.problem(400, "invalid_request")
