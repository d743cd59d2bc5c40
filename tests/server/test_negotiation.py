from __future__ import annotations

import asyncio
import json

import pytest
from latentcrdt_server.negotiation import (
    JSON_TYPE,
    MSGPACK_TYPES,
    PIECE_ELEMENTS,
    answer,
    preferred_type,
    read_document,
    stream,
)
from starlette.requests import Request
from starlette.responses import StreamingResponse

from latentcrdt.core.encoding import pack_document, unpack_document
from latentcrdt.errors import InvalidRequestError, UnsupportedMediaTypeError


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON_TYPE),
        ("*/*", JSON_TYPE),
        ("text/html", JSON_TYPE),
        ("", JSON_TYPE),
        ("application/*", JSON_TYPE),
        *((name, name) for name in MSGPACK_TYPES),
        ("application/json, application/msgpack", JSON_TYPE),
        ("application/json;q=0.5, application/msgpack", "application/msgpack"),
        ("application/json;q=0.5, application/msgpack;q=0.4", JSON_TYPE),
        ("*/*;q=0.1, application/x-msgpack;q=0.2", "application/x-msgpack"),
        ("application/json;q=0, */*", "application/vnd.msgpack"),
        ("APPLICATION/MSGPACK", "application/msgpack"),
        ("application/msgpack;q=nan", JSON_TYPE),
        ("application/msgpack;q=2", JSON_TYPE),
    ],
)
def test_accept_chooses_the_form_of_a_document(accept: str | None, expected: str) -> None:
    assert preferred_type(accept) == expected


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", *MSGPACK_TYPES])
def test_a_document_reads_the_same_in_both_forms(content_type: str | None) -> None:
    document = {"ids": ["a"], "n": 1.5, "none": None}
    packs = content_type in MSGPACK_TYPES
    body = pack_document(document) if packs else json.dumps(document).encode()
    assert read_document(content_type, body) == document


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 100_000),
        ("application/json", b"9" * 10_000),
        ("application/msgpack", b""),
        ("application/msgpack", b"\xc1"),
        ("application/msgpack", b"\xdd\xff\xff\xff\xff"),
        ("application/msgpack", b"\x91" * 100_000),
        ("application/msgpack", b"\x81\x90\x01"),
        ("application/msgpack", b"\xa1\xff"),
        ("application/msgpack", pack_document([1]) + b"\x00"),
    ],
)
def test_bytes_that_are_no_document_are_an_invalid_request(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_document(content_type, body)


def test_a_document_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="text/csv"):
        read_document("text/csv", b"a,b")


def test_msgpack_documents_come_back_as_they_went() -> None:
    document = {"é": [1, -1, 2**40, 0.1, None, True, "ü" * 300]}
    assert unpack_document(pack_document(document)) == document


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.msgpack"])
@pytest.mark.parametrize("length", [0, 1, PIECE_ELEMENTS, PIECE_ELEMENTS + 1, 3 * PIECE_ELEMENTS])
@pytest.mark.parametrize("rest", [{}, {"name": "s", "classes": [{"id": "ü"}]}])
def test_a_streamed_document_is_spelled_as_one_that_is_sent_whole(
    rest: dict[str, object], length: int, accept: str
) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    response = stream(request, rest, "members", range(length), lambda n: {"n": n, "text": "é"})
    assert isinstance(response, StreamingResponse)

    async def read() -> bytes:
        return b"".join([bytes(piece) async for piece in response.body_iterator])  # type: ignore[arg-type]

    whole = answer(request, {**rest, "members": [{"n": n, "text": "é"} for n in range(length)]})
    assert asyncio.run(read()) == whole.body
    assert response.media_type == whole.media_type == accept


def test_a_long_list_is_spelled_in_pieces_as_it_is_asked_for() -> None:
    spelled: list[int] = []

    def read(number: int) -> int:
        spelled.append(number)
        return number

    request = Request({"type": "http", "headers": []})
    response = stream(request, {}, "members", range(10 * PIECE_ELEMENTS), read)
    assert isinstance(response, StreamingResponse)

    async def begin() -> None:
        pieces = aiter(response.body_iterator)
        await anext(pieces)
        await anext(pieces)

    asyncio.run(begin())
    assert len(spelled) == PIECE_ELEMENTS
