"""What an answer is held to, and which answers are asked for again."""

from __future__ import annotations

import json

import pytest

from latentcrdt.core.encoding import pack_document
from latentcrdt.errors import ConnectionFailedError, UnauthorizedError
from latentcrdt.testing.conformance import Server
from latentcrdt.testing.conformance.answer import Answer
from latentcrdt.testing.conformance.expectations import covers, same_bytes
from tests.client.scripted_server import http, json_http, problem, refused_url, serving

PROBLEM = {
    "type": "urn:x",
    "title": "X",
    "status": 404,
    "detail": "no x",
    "code": "x_not_found",
    "details": {},
    "instance": "1",
}


def answer(body: bytes, media_type: str = "application/json", status: int = 200) -> Answer:
    return Answer("GET /x", status, {"content-type": media_type}, body)


def refusal(**changes: object) -> Answer:
    document = {k: v for k, v in (PROBLEM | changes).items() if v is not None}
    return answer(json.dumps(document).encode(), "application/problem+json", 404)


def test_a_problem_document_is_taken() -> None:
    assert refusal().problem(404, "x_not_found") == PROBLEM


@pytest.mark.parametrize(
    "wrong",
    [
        refusal(status=400),
        refusal(status="404"),
        refusal(code="y"),
        refusal(detail=None),
        refusal(details=[]),
        answer(json.dumps(PROBLEM).encode(), status=404),
        answer(b"<html>", "text/html", 404),
        answer(b"{", "application/problem+json", 404),
        answer(b"[]", "application/problem+json", 404),
        answer(json.dumps(PROBLEM).encode(), "application/problem+json", 400),
    ],
)
def test_what_is_no_such_problem_is_not(wrong: Answer) -> None:
    with pytest.raises(AssertionError, match="GET /x"):
        wrong.problem(404, "x_not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        answer(b"{"),
        answer(b"[]"),
        answer(b"\xff"),
        answer(b"{}", "text/plain"),
        answer(b"\xc1", "application/msgpack"),
        answer(pack_document([]), "application/msgpack"),
    ],
)
def test_what_is_no_document_is_not_taken_for_one(wrong: Answer) -> None:
    with pytest.raises(AssertionError, match="GET /x"):
        wrong.document()


@pytest.mark.parametrize(
    "given",
    [
        {"a": 1, "b": [1.5, "x"]},
        {"a": 1, "b": [1.5, "x"], "more": None},
    ],
)
def test_a_document_may_say_more_than_expected(given: object) -> None:
    covers("it", {"a": 1, "b": [1.5, "x"]}, given)


@pytest.mark.parametrize(
    "given",
    [
        {"a": 1},
        {"a": True, "b": [1.5, "x"]},
        {"a": 1.0, "b": [1.5, "x"]},
        {"a": 1, "b": [1.5]},
        {"a": 1, "b": [1.5, "x", "y"]},
        {"a": 1, "b": {"0": 1.5}},
        [],
        None,
    ],
)
def test_it_may_say_nothing_else(given: object) -> None:
    with pytest.raises(AssertionError, match=r"^it"):
        covers("it", {"a": 1, "b": [1.5, "x"]}, given)


def test_a_whole_number_may_be_spelt_without_a_point() -> None:
    covers("it", {"key": 2.0}, {"key": 2})


@pytest.mark.parametrize(
    ("actual", "at"), [(b"abx", 2), (b"ab", 2), (b"abcd", 3), (b"", 0), (b"xbc", 0)]
)
def test_the_first_byte_that_differs_is_named(actual: bytes, at: int) -> None:
    with pytest.raises(AssertionError, match=f"from byte {at} on"):
        same_bytes("it", b"abc", actual)


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    with serving() as script, Server(script.url) as server:
        script.replies = [problem(429, "busy", retry_after=0), json_http(200, {})]
        assert server.get("/v1/states").status == 200


def test_a_busy_server_that_names_no_time_is_not() -> None:
    with serving() as script, Server(script.url) as server:
        script.replies = [problem(429, "busy")]
        assert server.get("/v1/states").status == 429


def test_no_answer_is_a_violation_that_names_the_request() -> None:
    with serving() as script, Server(script.url) as server:
        script.replies = [b""]
        with pytest.raises(AssertionError, match="PUT /v1/states/x: expected an answer"):
            server.ask("PUT", "/v1/states/x")


def test_a_redirection_is_an_answer_and_is_not_followed() -> None:
    with serving() as script, Server(script.url) as server:
        script.replies = [http(307, location="http://elsewhere.example/")]
        assert server.get("/v1/states").status == 307
        assert len(script.asked) == 1


def test_a_token_is_sent_unless_the_request_is_anonymous() -> None:
    with serving() as script, Server(script.url, token="t-1") as server:
        script.replies = [http(200), http(200)]
        server.get("/v1/states")
        server.ask("GET", "/v1/states", anonymous=True)
        assert [asked.headers.get("authorization") for asked in script.asked] == [
            "Bearer t-1",
            None,
        ]


def test_a_server_that_does_not_answer_us_is_not_judged() -> None:
    with Server(refused_url()) as server, pytest.raises(ConnectionFailedError):
        server.require_answer()
    with serving() as script, Server(script.url) as server:
        script.replies = [problem(401, "unauthorized")]
        with pytest.raises(UnauthorizedError):
            server.require_answer()
