"""Documents on the wire: JSON, or msgpack of the same document, as Accept prefers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from latentcrdt.core.encoding import pack_document, pack_document_head, unpack_document
from latentcrdt.errors import InvalidRequestError, MalformedError, UnsupportedMediaTypeError

JSON_TYPE = "application/json"
MSGPACK_TYPES = ("application/vnd.msgpack", "application/msgpack", "application/x-msgpack")
"""The registered name first, then those that clients use."""

DOCUMENT_TYPES = (JSON_TYPE, *MSGPACK_TYPES)

PIECE_ELEMENTS = 256
"""Of a long list, spelled at a time: 60 KB and a millisecond or two without a thread switch."""

T = TypeVar("T")

_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def essence(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def preferred_type(accept: str | None) -> str:
    """Return which of our document types an Accept header prefers; JSON when in doubt."""
    weights = {name: _weight(accept or "*/*", name) for name in DOCUMENT_TYPES}
    return max(DOCUMENT_TYPES, key=lambda name: weights[name])  # the first of equals: JSON


def encode_json(document: Any) -> bytes:
    """Return the JSON text of a document; a number that JSON cannot spell is our own bug."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def answer(
    request: Request,
    document: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that carries a document in the form the caller prefers."""
    media_type = preferred_type(request.headers.get("accept"))
    encode = encode_json if media_type == JSON_TYPE else pack_document
    return Response(
        encode(document), status, {"Vary": "Accept", **(headers or {})}, media_type=media_type
    )


def stream(
    request: Request,
    document: Mapping[str, Any],
    name: str,
    elements: Sequence[T],
    read: Callable[[T], object],
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that carries a document whose last member ``name`` is a long list.

    It is spelled piece by piece, in a worker thread, while it is sent: so memory stays bounded, and
    the event loop gets its turn. ``read`` makes an element's document and must not fail.
    """
    media_type = preferred_type(request.headers.get("accept"))
    spell = _spell_json if media_type == JSON_TYPE else _spell_msgpack
    pieces = spell(document, name, elements, read)
    return StreamingResponse(
        pieces, headers={"Vary": "Accept", **(headers or {})}, media_type=media_type
    )


def read_document(content_type: str | None, body: bytes) -> Any:
    """Return the document that a request's body spells.

    Raises UnsupportedMediaTypeError for another content type, InvalidRequestError for bytes that
    are no such document.
    """
    given = essence(content_type or JSON_TYPE)
    if given not in DOCUMENT_TYPES:
        raise UnsupportedMediaTypeError(
            f"expected one of {', '.join(DOCUMENT_TYPES)}, got {given!r:.80}",
            expected=list(DOCUMENT_TYPES),
        )
    try:
        return json.loads(body) if given == JSON_TYPE else unpack_document(body)
    except (ValueError, RecursionError, MalformedError) as error:
        raise InvalidRequestError(f"expected a body of {given}: {error!r:.200}") from error


def _spell_json(
    document: Mapping[str, Any], name: str, elements: Sequence[T], read: Callable[[T], object]
) -> Iterator[bytes]:
    # An empty list stands for the long one, whose elements go where it is open.
    yield encode_json({**document, name: []})[:-2]
    for start in range(0, len(elements), PIECE_ELEMENTS):
        piece = [read(element) for element in elements[start : start + PIECE_ELEMENTS]]
        yield (b"," if start else b"") + encode_json(piece)[1:-1]
    yield b"]}"


def _spell_msgpack(
    document: Mapping[str, Any], name: str, elements: Sequence[T], read: Callable[[T], object]
) -> Iterator[bytes]:
    yield pack_document_head(document, name, len(elements))
    for start in range(0, len(elements), PIECE_ELEMENTS):
        piece = elements[start : start + PIECE_ELEMENTS]
        yield b"".join(pack_document(read(element)) for element in piece)


def _weight(accept: str, name: str) -> float:
    """Return the q-value that an Accept header gives to one media type; 0 when it does not."""
    best = (0, 0.0)
    for entry in accept.split(","):
        wanted, *parameters = (part.strip().lower() for part in entry.split(";"))
        specificity = {name: 3, f"{name.partition('/')[0]}/*": 2, "*/*": 1}.get(wanted, 0)
        if specificity > best[0]:
            best = (specificity, _quality(parameters))
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return float(value) if _QVALUE.fullmatch(value.strip()) else 0.0
    return 1.0
