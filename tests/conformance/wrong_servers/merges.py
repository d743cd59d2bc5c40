"""Servers that merge branches otherwise than was asked for."""

from __future__ import annotations

import re
from dataclasses import replace

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.catalogue import Catalogue

merges = Catalogue()


@merges.asked("merges/strategies")
def every_strategy_is_the_average(asked: Request) -> None:
    asked.query = re.sub(r"merge=[a-z-]+", "merge=uniform-average", asked.query)


@merges.fault("merges/strategies")
def the_anchor_is_the_branch_of_the_largest_key(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        right = plan(name, query)
        if right.layout is not Layout.PARALLEL:
            return right
        return replace(right, placements=right.placements[::-1])

    server.patch.setattr(server.replica, "plan", planned)


@merges.fault("merges/any-order")
def the_anchor_is_the_branch_that_came_first(server: FaultyServer) -> None:
    came: dict[FragmentId, int] = {}

    def note(asked: Request, given: Response) -> None:
        if asked.method == "POST" and given.status in {200, 201} and "id" in given.document:
            came.setdefault(FragmentId.parse(given.document["id"]), len(came))

    def order(keys: object) -> list[FragmentId]:
        ids = [i for _, i in keys]  # type: ignore[attr-defined]
        return sorted(ids, key=lambda i: came.get(i, 0))

    server.after = note
    server.patch.setattr("latentcrdt.replication.replica.canonical_order", order)


@merges.asked("merges/parameters")
def parameters_are_passed_over(asked: Request) -> None:
    asked.query = re.sub(r"(merge=[a-z-]+)(%3A|:)[^&]*", r"\1", asked.query)


@merges.asked("merges/layers-and-conditions")
def a_merge_always_has_all_layers(asked: Request) -> None:
    if "merge=" in asked.query:
        asked.query = re.sub(r"&?layers=[^&]*", "", asked.query)


@merges.answered("merges/layers-and-conditions")
def all_merges_of_a_state_have_one_tag(asked: Request, given: Response) -> None:
    if "merge=cross-wired" in asked.query and "if-none-match" in asked.headers:
        given.status = 304
        given.replace_body(b"")


@merges.answered("merges/receipts")
def a_receipt_names_another_strategy(asked: Request, given: Response) -> None:
    if asked.path.endswith("/receipt") and "merge=" in asked.query:
        document = given.document
        document["derivation"]["method"] = "v-only"
        given.document = document


@merges.answered("merges/receipts")
def a_receipt_has_the_digests_of_the_other_branch(asked: Request, given: Response) -> None:
    if asked.path.endswith("/receipt") and "merge=" in asked.query:
        document = given.document
        document["sections"][-1]["values"] = document["base"]["sections"][-1]["values"]
        given.document = document


@merges.asked("merges/refusals")
def a_search_is_the_rule_that_it_ends_in(asked: Request) -> None:
    asked.query = asked.query.replace("merge=weight-search", "merge=uniform-average")


@merges.answered("merges/refusals")
def uneven_branches_have_no_code_of_their_own(asked: Request, given: Response) -> None:
    if given.code == "incompatible_fragments":
        document = given.document
        document["code"] = "nothing_to_render"
        given.document = document
