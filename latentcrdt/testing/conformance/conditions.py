"""Entity tags name bytes: whoever has them is told so, and nobody else."""

from __future__ import annotations

import re

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.server import Server

conditions = Group("conditions")

TAGS = "RFC 9110 section 8.8.3"
NONE_MATCH = "RFC 9110 section 13.1.2"

STRONG = re.compile(r'"[\x21\x23-\x7e]+"')

SAME_IN_HEAD = ("content-length", "content-type", "etag", "accept-ranges")


@conditions.check(TAGS)
def different_tags(server: Server) -> None:
    """Different bytes have different strong ETags; equal states have equal ones."""
    fragments = [server.fresh(), server.fresh()]
    whole, part = server.holding(*fragments), server.holding(fragments[0])
    tags = [
        server.get(path).expect(200).header("etag")
        for path in (*_paths(whole), *_paths(part), *map(_fragment_path, fragments))
    ]
    for tag in tags:
        equal(f"whether {tag} is a strong ETag", True, STRONG.fullmatch(tag) is not None)
    equal("different ETags of different documents, renders and fragments", len(tags), len({*tags}))
    for path, again in zip(_paths(whole), _paths(server.holding(*fragments[::-1])), strict=True):
        first, second = (server.get(p).expect(200).header("etag") for p in (path, again))
        equal(f"ETag of {again}, as of the equal {path}", first, second)


@conditions.check(NONE_MATCH)
def unchanged(server: Server) -> None:
    """If-None-Match that names what there is, weakly too, is 304 with no body and the ETag."""
    fragment = server.fresh()
    for path in (*_paths(server.holding(fragment)), _fragment_path(fragment)):
        tag = server.get(path).expect(200).header("etag")
        for named in (tag, f'"another", {tag}', f"W/{tag}", "*"):
            answer = server.get(path, if_none_match=named).expect(304)
            equal(f"{answer.asked}: body", b"", answer.body)
            equal(f"{answer.asked}: ETag", tag, answer.header("etag"))


@conditions.check(NONE_MATCH)
def changed(server: Server) -> None:
    """If-None-Match that names something else, or what was there before, is the whole answer."""
    first = server.fresh()
    state = server.holding(first)
    paths = [*_paths(state), _fragment_path(first)]
    before = {path: server.get(path).expect(200) for path in paths}
    for path in paths:
        answer = server.get(path, if_none_match='"another"').expect(200)
        equal(f"{answer.asked}: body", before[path].body, answer.body)
    server.push(state, server.fresh()).expect(201)
    for path in _paths(state):
        answer = server.get(path, if_none_match=before[path].header("etag")).expect(200)
        equal(f"{answer.asked}: whether it grew", True, answer.body != before[path].body)


@conditions.check("RFC 9110 section 9.3.2")
def head(server: Server) -> None:
    """HEAD of a fragment or a render has the headers of GET, its length too, and no body."""
    fragment = server.fresh()
    render, name = f"/v1/states/{server.holding(fragment)}/render", _fragment_path(fragment)
    for path in (name, f"{name}?layers=0:1", render, f"{render}?layers=1:2"):
        got = server.get(path).expect(200)
        headed = server.ask("HEAD", path).expect(200)
        equal(f"{headed.asked}: body", b"", headed.body)
        equal(f"{got.asked}: Content-Length", str(len(got.body)), got.header("content-length"))
        for header in SAME_IN_HEAD:
            equal(f"{headed.asked}: {header}", got.header(header), headed.header(header))
        tag = got.header("etag")
        server.ask("HEAD", path, headers={"if-none-match": tag}).expect(304)


@conditions.check("OpenAPI: GET /v1/fragments/{fragment}")
def immutable(server: Server) -> None:
    """A fragment may be kept for ever, a render must be asked for again."""
    fragment = server.fresh()
    state = server.holding(fragment)
    for path, directive in (
        (_fragment_path(fragment), "immutable"),
        (f"/v1/states/{state}/render", "no-cache"),
    ):
        answer = server.get(path).expect(200)
        given = {part.strip().lower() for part in answer.header("cache-control").split(",")}
        equal(f"{answer.asked}: whether Cache-Control says {directive}", True, directive in given)


def _paths(state: str) -> list[str]:
    return [f"/v1/states/{state}{call}" for call in ("", "/plan", "/receipt", "/render")]


def _fragment_path(fragment: Fragment) -> str:
    return f"/v1/fragments/{fragment.fragment_id}"
