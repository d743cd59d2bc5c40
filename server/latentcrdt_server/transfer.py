"""Answer a GET or HEAD of immutable bytes: conditions, one range, then the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request, Response

from latentcrdt_server.admission import Admission
from latentcrdt_server.etags import none_match_fails, quote, range_applies
from latentcrdt_server.ranges import parse_range
from latentcrdt_server.streaming import ByteStream, Slices


@dataclass(frozen=True, slots=True)
class Representation:
    """Bytes that can be sent, whole or in part, without being made before they are asked for."""

    etag: str
    """Names exactly these bytes."""
    length: int
    media_type: str
    headers: dict[str, str]
    slices: Callable[[int, int], Slices]
    """Makes the bytes ``start`` to ``stop``."""
    on_end: Callable[[int, float], None]
    """Told the bytes sent and the seconds it took to make them."""


def transfer(request: Request, representation: Representation, streams: Admission) -> Response:
    """Return the answer that the request's method and conditions ask for.

    200, 206 for one satisfiable Range, 304 when If-None-Match names these bytes; HEAD has the same
    headers and no bytes. A stream has to be admitted when it begins.
    Raises RangeNotSatisfiableError.
    """
    r = representation
    etag = quote(r.etag)
    headers = {**r.headers, "ETag": etag, "Accept-Ranges": "bytes"}
    if none_match_fails(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        # The RFC defines Range for GET alone.
        headers["Content-Length"] = str(r.length)
        return Response(None, 200, headers, media_type=r.media_type)
    part = None
    if range_applies(request.headers.get("if-range"), etag):
        part = parse_range(request.headers.get("range"), r.length)
    if part is None:
        slices, length, status = r.slices(0, r.length), r.length, 200
    else:
        slices, length, status = r.slices(part.start, part.stop), len(part), 206
        headers["Content-Range"] = part.content_range(r.length)
    return ByteStream(
        slices,
        length=length,
        status_code=status,
        headers=headers,
        media_type=r.media_type,
        on_end=r.on_end,
        streams=streams,
    )
