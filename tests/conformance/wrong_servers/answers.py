"""Servers that say the right thing in the wrong form, or refuse under the wrong name."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from latentcrdt.core.ids import StateName
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import AmbiguousClassError
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.bytes import say_code
from tests.conformance.wrong_servers.catalogue import Catalogue

answers = Catalogue()

STRICT_FIELDS = ("layout", "stride", "order", "class", "layers")


@answers.answered("refusals/unknown-states")
def an_unknown_state_is_empty(asked: Request, given: Response) -> None:
    if given.code == "state_not_found":
        given.become(200, {"name": asked.path.split("/")[3], "members": []})


@answers.answered("refusals/unknown-fragments")
def problems_are_pages(asked: Request, given: Response) -> None:
    if given.code is not None:
        given.headers["content-type"] = "text/html"
        given.replace_body(b"<html><h1>Not Found</h1></html>")


@answers.answered("refusals/unknown-fragments")
def head_of_nothing_is_200(asked: Request, given: Response) -> None:
    if asked.method == "HEAD":
        given.status = 200


@answers.answered("refusals/unknown-paths")
def unknown_paths_are_answered_by_the_framework(asked: Request, given: Response) -> None:
    if given.code == "route_not_found":
        given.become(404, {"detail": "Not Found"})


@answers.answered("refusals/methods")
def allow_is_left_out(asked: Request, given: Response) -> None:
    given.headers.pop("allow", None)


@answers.answered("refusals/methods")
def an_unknown_method_is_an_unknown_path(asked: Request, given: Response) -> None:
    if given.status == 405:
        say_code(given, 404, "route_not_found")


@answers.answered("refusals/nothing-to-render")
def the_empty_render_is_empty(asked: Request, given: Response) -> None:
    if given.code == "nothing_to_render":
        given.status = 200
        given.replace_body(b"")


@answers.fault("refusals/ambiguous-classes")
def of_several_classes_the_first_is_rendered(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        try:
            return plan(name, query)
        except AmbiguousClassError:
            first = server.replica.fragments.summary(server.replica.state(name).ids[0])
            return plan(name, replace(query, class_id=first.class_id))

    server.patch.setattr(server.replica, "plan", planned)


@answers.answered("refusals/ambiguous-classes")
def ambiguous_classes_are_not_listed(asked: Request, given: Response) -> None:
    if given.code == "ambiguous_class":
        document = {**given.document, "details": {}}
        given.become(409, document, "application/problem+json")


@answers.answered("refusals/missing-prefixes")
def a_missing_prefix_is_refused_when_it_is_pushed(asked: Request, given: Response) -> None:
    if given.status == 201 and given.document.get("fragment", {}).get("prefix"):
        given.status = 409


@answers.answered("refusals/missing-prefixes")
def a_missing_prefix_is_a_missing_fragment(asked: Request, given: Response) -> None:
    if given.code == "prefix_missing":
        say_code(given, 404, "fragment_not_found")


@answers.asked("refusals/orders")
def an_order_may_name_a_member_twice(asked: Request) -> None:
    name, _, ids = asked.query.partition("=")
    if name == "order":
        separator = "," if "," in ids else "%2C"
        asked.query = f"order={separator.join(dict.fromkeys(ids.split(separator)))}"


@answers.asked("refusals/queries")
def unknown_parameters_are_passed_over(asked: Request) -> None:
    known = [p for p in asked.query.split("&") if p.partition("=")[0] in STRICT_FIELDS]
    asked.query = "&".join(known)


@answers.asked("refusals/queries")
def a_parameter_given_twice_counts_once(asked: Request) -> None:
    asked.query = "&".join(dict.fromkeys(asked.query.split("&")))


@answers.fault("refusals/tokens")
def nobody_needs_a_token(_server: FaultyServer) -> None:
    """The test gives one to a server that has never heard of tokens."""


@answers.answered("negotiation/documents")
def msgpack_has_keys_in_binary32(asked: Request, given: Response) -> None:
    if "msgpack" in given.headers["content-type"] and "/states/" in asked.path:
        given.document = _in_binary32(given.document)


@answers.asked("negotiation/documents")
def msgpack_is_known_by_one_name(asked: Request) -> None:
    if asked.headers.get("accept") != "application/msgpack":
        asked.headers.pop("accept", None)


@answers.asked("negotiation/results")
def results_are_json(asked: Request) -> None:
    if asked.method in ("PUT", "POST"):
        asked.headers.pop("accept", None)


@answers.asked("negotiation/preferences")
def weights_are_not_looked_at(asked: Request) -> None:
    asked.headers["accept"] = asked.headers.get("accept", "*/*").split(",")[0].split(";")[0]


@answers.answered("negotiation/vary")
def caches_are_not_warned(asked: Request, given: Response) -> None:
    given.headers.pop("vary", None)


@answers.answered("negotiation/questions")
def questions_are_json(asked: Request, given: Response) -> None:
    if "msgpack" in asked.headers.get("content-type", ""):
        given.status = 415


@answers.asked("negotiation/questions")
def a_question_may_be_of_any_type(asked: Request) -> None:
    if asked.headers.get("content-type") == "text/csv":
        asked.headers["content-type"] = "application/json"


@answers.answered("negotiation/broken-questions")
def a_broken_question_is_a_failure_of_the_server(asked: Request, given: Response) -> None:
    if given.code == "invalid_request":
        say_code(given, 500, "internal")


@answers.answered("limits/header-length")
def an_absurd_header_is_malformed(asked: Request, given: Response) -> None:
    if given.code == "too_large":
        say_code(given, 400, "malformed")


@answers.answered("limits/implied-length")
def an_absurd_body_is_cut_short(asked: Request, given: Response) -> None:
    if given.code == "too_large":
        say_code(given, 400, "truncated")


@answers.answered("limits/number-of-ids")
def any_number_of_ids_may_be_asked_for(asked: Request, given: Response) -> None:
    if given.code == "invalid_request":
        given.become(200, {"missing": []})


@answers.fault("limits/number-of-ids")
def a_hundred_ids_are_enough(server: FaultyServer) -> None:
    server.patch.setattr("latentcrdt_server.routes.fragments.MAX_IDS", 100)


@answers.answered("limits/unknown-length")
def a_body_must_declare_its_length(asked: Request, given: Response) -> None:
    if "transfer-encoding" in asked.headers:
        given.status = 411


def _in_binary32(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_binary32(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_in_binary32(member) for member in value]
    return struct.unpack("f", struct.pack("f", value))[0] if isinstance(value, float) else value
