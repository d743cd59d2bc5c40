"""States and fragments have one spelling each, and no other is let in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from latentcrdt.core.ids import STATE_NAME_PATTERN
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.server import Server

names = Group("names")

STATE_NAMES = f"OpenAPI: GET /v1/states/{{state}}, {STATE_NAME_PATTERN}"
IDS = "OpenAPI: GET /v1/fragments/{fragment}"
MISSING = "OpenAPI: POST /v1/fragments/missing"

MAX_NAME_CHARS = 63
"""Characters of the longest name that the pattern allows."""


@names.check(STATE_NAMES)
def legal_names(server: Server) -> None:
    """Every name that the pattern allows is a state of its own, the longest too."""
    fragment = server.fresh()
    server.holding(fragment)
    room = MAX_NAME_CHARS - len(server.prefix)

    def test(name: str) -> None:
        path = f"/v1/states/{name}"
        server.ask("PUT", f"{path}/members/{fragment.fragment_id}").expect(200, 201)
        server.get(path).expect(200).covers({"name": name})

    endings = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=room)
    for_all(endings.map(lambda ending: server.prefix + ending), test, max_examples=12)
    test(server.prefix.ljust(MAX_NAME_CHARS, "x"))
    for ending in ("a..", "b.log", "c-_."):
        test(server.prefix + ending)


@names.check(STATE_NAMES)
def illegal_names(server: Server) -> None:
    """Any other name is refused, by every call that takes one, and makes nothing."""
    fragment = server.fresh()
    server.holding(fragment)
    name = server.fresh_state()
    for wrong in (
        name.upper(),
        name.ljust(MAX_NAME_CHARS + 1, "x"),
        f".{name}",
        f"-{name}",
        f"{name}é",
        f"{name}\n",
        f"{name} ",
        f"{name}+",
        f"{name}\0",
        f"{name}:",
    ):
        path = f"/v1/states/{quote(wrong, safe='')}"
        answers = (
            server.get(path),
            server.ask("PUT", path),
            server.ask("PUT", f"{path}/members/{fragment.fragment_id}"),
            server.push(quote(wrong, safe=""), fragment),
            *(server.get(f"{path}/{call}") for call in ("plan", "render", "receipt")),
        )
        for answer in answers:
            answer.problem(400, "invalid_state_name")


@names.check(IDS)
def spelled_ids(server: Server) -> None:
    """An id is 64 lowercase hexadecimal digits wherever one is given."""
    fragment = server.fresh()
    state = server.holding(fragment)
    fragment_id = str(fragment.fragment_id)
    for wrong in (fragment_id.upper(), fragment_id[:-1], f"{fragment_id}0", f"g{fragment_id[1:]}"):
        answers = (
            server.get(f"/v1/fragments/{wrong}"),
            server.ask("PUT", f"/v1/states/{state}/members/{wrong}"),
            server.push(server.fresh_state(), fragment, fragment_id=wrong),
            server.ask("GET", f"/v1/states/{state}/plan", params={"order": wrong}),
            server.ask("GET", f"/v1/states/{state}/plan", params={"class": wrong}),
            server.ask_missing({"ids": [fragment_id, wrong]}),
        )
        for answer in answers:
            answer.problem(400, "invalid_id")


@names.check(MISSING)
def missing_ids(server: Server) -> None:
    """Of the ids asked for, those that are not held are missing, and no others."""
    held = [server.fresh() for _ in range(3)]
    lacking = [server.fresh() for _ in range(3)]
    server.holding(*held[:2])
    server.holding(held[2])
    ids = [str(fragment.fragment_id) for fragment in (*held, *lacking)]

    def test(indices: list[int]) -> None:
        asked = [ids[index] for index in indices]
        expected = {ids[index] for index in indices if index >= len(held)}
        equal(f"missing of {indices}, of which 0 to 2 are held", expected, {*server.missing(asked)})

    drawn = st.lists(st.integers(0, len(ids) - 1), max_size=8)
    for_all(drawn, test, max_examples=12)


@names.check(MISSING)
def malformed_questions(server: Server) -> None:
    """A question that is no list of texts is an invalid request."""
    fragment_id = str(server.fresh().fragment_id)
    wrong_ids: list[Any] = [fragment_id, [1], [None], {fragment_id: 1}, None]
    for document in ({}, [fragment_id], None, *({"ids": ids} for ids in wrong_ids)):
        server.ask_missing(document).problem(400, "invalid_request")
