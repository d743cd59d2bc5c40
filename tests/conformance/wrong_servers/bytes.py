"""Servers that take in bytes which they should refuse, or give out other bytes than they say."""

from __future__ import annotations

import re

from latentcrdt.core.ids import FragmentId, StateName
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.catalogue import Catalogue
from tests.conformance.wrong_servers.states import is_push

bytes_ = Catalogue()


def say_code(given: Response, status: int, code: str) -> None:
    """Make the problem one of another status and code."""
    document = {**given.document, "status": status, "code": code}
    given.become(status, document, "application/problem+json")


@bytes_.fault("damage/cut-short")
def a_refused_push_leaves_its_state_behind(server: FaultyServer) -> None:
    def after(asked: Request, given: Response) -> None:
        if is_push(asked) and given.status == 400:
            server.replica.declare(StateName(asked.path.split("/")[3]))

    server.after = after


@bytes_.answered("damage/cut-short")
def a_push_that_broke_off_is_a_failure_of_the_server(asked: Request, given: Response) -> None:
    if given.code == "truncated":
        say_code(given, 500, "internal")


@bytes_.answered("damage/too-long")
def what_is_too_long_is_malformed(asked: Request, given: Response) -> None:
    if given.code == "truncated":
        say_code(given, 400, "malformed")


@bytes_.fault("damage/flipped-bits")
def sections_are_not_verified(server: FaultyServer) -> None:
    server.patch.setattr("latentcrdt.core.sections_reader.check_section", lambda *_: None)


@bytes_.asked("damage/declared-id")
def the_declared_id_is_not_looked_at(asked: Request) -> None:
    asked.headers.pop("fragment-id", None)


@bytes_.fault("damage/declared-id")
def half_of_a_refused_push_counts_as_held(server: FaultyServer) -> None:
    declared = set()
    missing = server.replica.missing

    def before(asked: Request) -> None:
        if "fragment-id" in asked.headers:
            declared.add(asked.headers["fragment-id"])

    def not_begun(ids: list[FragmentId]) -> list[FragmentId]:
        return [i for i in missing(ids) if str(i) not in declared]

    server.before = before
    server.patch.setattr(server.replica, "missing", not_begun)


@bytes_.fault("damage/second-spellings")
def a_header_may_be_spelt_in_two_ways(server: FaultyServer) -> None:
    server.patch.setattr("latentcrdt.core.header.check_one_spelling", lambda *_: None)


@bytes_.fault("damage/second-spellings")
def padding_is_not_looked_at(server: FaultyServer) -> None:
    server.patch.setattr("latentcrdt.core.reader.check_padding", lambda _: None)


@bytes_.answered("damage/malformed-headers")
def malformed_bytes_are_a_failure_of_the_server(asked: Request, given: Response) -> None:
    if given.code == "malformed":
        say_code(given, 500, "internal")


@bytes_.answered("damage/unsupported")
def what_is_not_supported_is_malformed(asked: Request, given: Response) -> None:
    if given.code in ("unsupported_dtype", "unsupported_version"):
        say_code(given, 400, "malformed")


@bytes_.fault("damage/non-finite-keys")
def keys_may_be_anything(server: FaultyServer) -> None:
    server.patch.setattr("latentcrdt.replication.push.check_keys", lambda _: None)


@bytes_.asked("damage/media-types")
def a_push_may_be_of_any_type(asked: Request) -> None:
    if asked.path.endswith("/fragments"):
        asked.headers["content-type"] = "application/octet-stream"
        asked.headers.pop("content-encoding", None)


@bytes_.answered("ranges/of-a-fragment")
def a_range_ends_one_byte_early(asked: Request, given: Response) -> None:
    if given.status == 206 and len(given.body) > 1:
        given.replace_body(given.body[:-1])


@bytes_.asked("ranges/of-a-fragment")
def a_suffix_is_taken_for_a_beginning(asked: Request) -> None:
    asked.headers["range"] = asked.headers.get("range", "").replace("=-", "=0-")


@bytes_.asked("ranges/of-a-render")
def a_render_comes_whole_or_not_at_all(asked: Request) -> None:
    if asked.path.endswith("/render"):
        asked.headers.pop("range", None)


@bytes_.answered("ranges/past-the-end")
def a_range_past_the_end_is_not_told_the_size(asked: Request, given: Response) -> None:
    if given.status == 416:
        given.headers.pop("content-range", None)


@bytes_.answered("ranges/what-is-no-range")
def a_range_that_is_none_is_refused(asked: Request, given: Response) -> None:
    asked_range = asked.headers.get("range")
    if asked_range is not None and not re.fullmatch(r"bytes=\d*-\d*", asked_range):
        given.status = 416


@bytes_.answered("ranges/what-is-no-range")
def head_has_the_length_of_a_range(asked: Request, given: Response) -> None:
    if asked.method == "HEAD" and "range" in asked.headers:
        given.headers["content-length"] = "2"


@bytes_.asked("ranges/if-range")
def if_range_is_not_looked_at(asked: Request) -> None:
    asked.headers.pop("if-range", None)


@bytes_.asked("ranges/if-range")
def if_range_takes_a_weak_tag(asked: Request) -> None:
    if "if-range" in asked.headers:
        asked.headers["if-range"] = asked.headers["if-range"].removeprefix("W/")


@bytes_.answered("ranges/layers-of-a-fragment")
def layers_have_the_tag_of_the_whole(asked: Request, given: Response) -> None:
    if "etag" in given.headers:
        given.headers["etag"] = re.sub(r"\.[0-9]+-[0-9]+", "", given.headers["etag"])


@bytes_.asked("ranges/layers-of-a-fragment")
def layers_are_not_looked_at(asked: Request) -> None:
    asked.query = ""


@bytes_.asked("ranges/layers-that-are-not-there")
def layers_that_are_not_there_are_left_out(asked: Request) -> None:
    asked.query = asked.query.replace("0:9", "0:2").replace("0%3A9", "0:2")


@bytes_.answered("conditions/different-tags")
def every_render_has_the_same_tag(asked: Request, given: Response) -> None:
    if asked.path.endswith("/render"):
        given.headers["etag"] = '"render"'


@bytes_.answered("conditions/different-tags")
def tags_are_weak(asked: Request, given: Response) -> None:
    if "etag" in given.headers:
        given.headers["etag"] = f"W/{given.headers['etag']}"


@bytes_.asked("conditions/unchanged")
def if_none_match_is_not_looked_at(asked: Request) -> None:
    asked.headers.pop("if-none-match", None)


@bytes_.asked("conditions/unchanged")
def if_none_match_takes_one_tag_alone(asked: Request) -> None:
    if "," in asked.headers.get("if-none-match", ""):
        del asked.headers["if-none-match"]


@bytes_.asked("conditions/changed")
def whoever_has_something_has_everything(asked: Request) -> None:
    if "if-none-match" in asked.headers:
        asked.headers["if-none-match"] = "*"


@bytes_.answered("conditions/head")
def head_has_no_length(asked: Request, given: Response) -> None:
    if asked.method == "HEAD":
        given.headers.pop("content-length", None)


@bytes_.asked("conditions/head")
def head_is_of_the_whole(asked: Request) -> None:
    if asked.method == "HEAD":
        asked.query = ""


@bytes_.answered("conditions/immutable")
def nothing_is_said_about_caches(asked: Request, given: Response) -> None:
    given.headers.pop("cache-control", None)
