"""Parts of immutable bytes: ranges of a file or a render, and layers of a fragment."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all
from latentcrdt.testing.conformance.expectations import equal, same_bytes
from latentcrdt.testing.conformance.expected import plan_of, rendered
from latentcrdt.testing.conformance.server import Server

ranges = Group("ranges")

BYTE_RANGES = "RFC 9110 section 14.1.2"
IF_RANGE = "RFC 9110 section 13.1.5"
LAYERS = "OpenAPI: GET /v1/fragments/{fragment}"

IGNORED = ("bytes=5-2", "lines=0-1", "bytes=", "bytes=a-b", "bytes=1--2")
"""What is not a valid range of bytes asks for the whole (RFC 9110 section 14.2)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of bytes as a header spells it, and what it means."""

    header: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"Range: {self.header}"


@ranges.check(BYTE_RANGES)
def of_a_fragment(server: Server) -> None:
    """Any range of a fragment file is exactly those bytes, and the answer says which."""
    fragment = server.fresh()
    server.holding(fragment)
    path, whole = _path(fragment), fragment.to_bytes()
    for_all(_parts(len(whole)), lambda part: _is_part(server, path, whole, part), max_examples=40)


@ranges.check(BYTE_RANGES)
def of_a_render(server: Server) -> None:
    """Any range of a render is exactly those bytes, and the answer says which."""
    fragments = [server.fresh(windows=(4,)) for _ in range(2)]
    path = f"/v1/states/{server.holding(*fragments)}/render"
    whole = rendered(plan_of(fragments), fragments)
    for_all(_parts(len(whole)), lambda part: _is_part(server, path, whole, part), max_examples=40)


@ranges.check("RFC 9110 section 15.5.17")
def past_the_end(server: Server) -> None:
    """A range that has no byte of the object is 416, with the size."""
    fragment = server.fresh()
    state = server.holding(fragment)
    sizes = (
        (_path(fragment), fragment.num_bytes),
        (f"/v1/states/{state}/render", len(rendered(plan_of([fragment]), [fragment]))),
    )
    for path, size in sizes:
        for header in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
            answer = server.get(path, range=header)
            answer.problem(416, "range_not_satisfiable")
            equal(
                f"{answer.asked}: Content-Range", f"bytes */{size}", answer.header("content-range")
            )


@ranges.check("RFC 9110 section 14.2")
def what_is_no_range(server: Server) -> None:
    """A Range header that is not understood asks for the whole; so does any, of HEAD."""
    fragment = server.fresh()
    server.holding(fragment)
    for header in IGNORED:
        answer = server.get(_path(fragment), range=header).expect(200)
        same_bytes(answer.asked, fragment.to_bytes(), answer.body)
    head = server.ask("HEAD", _path(fragment), headers={"range": "bytes=0-1"}).expect(200)
    size = str(fragment.num_bytes)
    equal(f"{head.asked}: Content-Length", size, head.header("content-length"))


@ranges.check(IF_RANGE)
def if_range(server: Server) -> None:
    """A range counts only while If-Range names, strongly, the bytes that there are."""
    fragment = server.fresh()
    state = server.holding(fragment)
    for path in (_path(fragment), f"/v1/states/{state}/render"):
        whole = server.get(path).expect(200)
        tag = whole.header("etag")
        part = server.get(path, range="bytes=1-2", if_range=tag).expect(206)
        same_bytes(part.asked, whole.body[1:3], part.body)
        for other in ('"another"', f"W/{tag}", "Sat, 01 Aug 2026 00:00:00 GMT"):
            answer = server.get(path, range="bytes=1-2", if_range=other).expect(200)
            same_bytes(answer.asked, whole.body, answer.body)


@ranges.check(LAYERS)
def layers_of_a_fragment(server: Server) -> None:
    """``layers=a:b`` of a fragment is the sections of these layers, under an ETag of their own."""
    fragment = server.fresh(num_layers=4, windows=(3,))
    server.holding(fragment)
    tags = {server.get(_path(fragment)).expect(200).header("etag")}
    asked = {"0:1": (0, 1), "1:3": (1, 3), ":2": (0, 2), "3:": (3, 4), "0:4": (0, 4)}
    for text, (first, stop) in asked.items():
        sections = b"".join(
            bytes(fragment.keys(i)) + bytes(fragment.values(i)) for i in range(first, stop)
        )
        path = f"{_path(fragment)}?layers={text}"
        answer = server.get(path).expect(200)
        same_bytes(answer.asked, sections, answer.body)
        tags.add(answer.header("etag"))
        _is_part(server, path, sections, Part("bytes=1-9", 1, 10))
    equal("different ETags of a fragment and five different parts of it", 6, len(tags))


@ranges.check(LAYERS)
def layers_that_are_not_there(server: Server) -> None:
    """Layers outside the fragment are 416; what spells no layers, or nothing known, is 400."""
    fragment = server.fresh()
    server.holding(fragment)
    for text in ("0:9", "2:3", "2:"):
        answer = server.get(f"{_path(fragment)}?layers={text}")
        answer.problem(416, "range_not_satisfiable")
    for query in ("layers=0:1&layers=1:2", "layer=0:1", "layers=x", "layers=", "layers=-1:1"):
        server.get(f"{_path(fragment)}?{query}").problem(400, "invalid_request")


def _path(fragment: Fragment) -> str:
    return f"/v1/fragments/{fragment.fragment_id}"


def _is_part(server: Server, path: str, whole: bytes, part: Part) -> None:
    answer = server.get(path, range=part.header).expect(206)
    same_bytes(answer.asked, whole[part.start : part.stop], answer.body)
    said = f"bytes {part.start}-{part.stop - 1}/{len(whole)}"
    equal(f"{answer.asked}: Content-Range", said, answer.header("content-range"))
    length = str(part.stop - part.start)
    equal(f"{answer.asked}: Content-Length", length, answer.header("content-length"))


@st.composite
def _parts(draw: st.DrawFn, size: int) -> Part:
    start = draw(st.integers(0, size - 1))
    kind = draw(st.sampled_from(("both", "open", "suffix", "beyond")))
    if kind == "suffix":
        return Part(f"bytes=-{size - start}", start, size)
    if kind == "open":
        return Part(f"bytes={start}-", start, size)
    if kind == "beyond":
        return Part(f"bytes={start}-{size + draw(st.integers(0, 99))}", start, size)
    last = draw(st.integers(start, size - 1))
    return Part(f"bytes={start}-{last}", start, last + 1)
