"""A merge of branches is a function of their set and the strategy: these bytes, on any server.

Merging is an offer: a server that refuses the parameter, as it does any that it does not know, is
not held to these promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from unittest import SkipTest

from hypothesis import strategies as st

from latentcrdt.core.derived import Derived
from latentcrdt.core.derived_receipt import read_derivation, split_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.merge_choice import MergeChoice
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.merging.proof import prove_merge
from latentcrdt.merging.search import SEARCHES
from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt.render.derived import render_derived
from latentcrdt.render.proof import prove
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all
from latentcrdt.testing.conformance.expectations import equal, same_bytes
from latentcrdt.testing.conformance.expected import ENGINE, plan_of
from latentcrdt.testing.conformance.server import Server

merges = Group("merges")

SECTION = "docs/format.md section 7, Merge"


@merges.check(SECTION)
def strategies(server: Server) -> None:
    """Every strategy merges two branches to the bytes specified, in every dtype."""
    for dtype in Dtype:
        fork = _fork(server, dtype=dtype)
        state = _offered(server, fork)
        for strategy in STRATEGIES:
            _same_merge(server, state, fork, strategy)


@merges.check(SECTION)
def any_order(server: Server) -> None:
    """Branches merge to the same bytes in whatever order they come, and however often."""
    _offered(server, _fork(server))

    def test(order: list[int]) -> None:
        fork = _fork(server, num=3)
        state = server.fresh_state()
        for index in (*order, 0, 1, 2, 3):
            server.push(state, fork[index]).expect(200, 201)
        for strategy in ("v-only", "max-norm-head"):
            _same_merge(server, state, fork, strategy)

    for_all(st.lists(st.integers(0, 3), max_size=5), test, max_examples=8)


@merges.check(SECTION)
def parameters(server: Server) -> None:
    """A strategy takes the numbers that are given with it, and other numbers are another merge."""
    fork = _fork(server)
    state = _offered(server, fork)
    for merge in ("uniform-average:weight=0.25", "cosine-gated:threshold=-1.0,weight=1.0"):
        _same_merge(server, state, fork, merge)


@merges.check(SECTION)
def layers_and_conditions(server: Server) -> None:
    """A merge has layers, ranges and entity tags as any render has."""
    fork = _fork(server)
    state = _offered(server, fork)
    merge = "late-v-slerp"
    _same_merge(server, state, fork, merge, layers="1:2")
    whole = _merged(fork, merge).render.to_bytes()
    path, params = f"/v1/states/{state}/render", {"merge": merge}
    answer = server.ask("GET", path, params=params, headers={"range": "bytes=100-200"})
    same_bytes(answer.asked, whole[100:201], answer.expect(206).body)
    tag = {"if-none-match": answer.header("etag")}
    server.ask("GET", path, params=params, headers=tag).expect(304)
    server.ask("GET", path, params={"merge": "cross-wired"}, headers=tag).expect(200)


@merges.check("docs/format.md section 7, Receipt")
def receipts(server: Server) -> None:
    """The receipt of a merge is proved by the branches: how it was made, of what, every digest."""
    fork = _fork(server)
    state = _offered(server, fork)
    params = {"merge": "head-gated-v"}
    answer = server.ask("GET", f"/v1/states/{state}/receipt", params=params).expect(200)
    held = {fragment.fragment_id: fragment for fragment in fork}
    document, further = split_document(answer.document())
    if further is None:
        raise AssertionError(f"{answer.asked}: expected 'derivation' and 'base' beside the receipt")
    base = prove(further["base"], held, engine=ENGINE)
    derivation = read_derivation(further, base.plan)
    equal(f"{answer.asked}: derivation", _merged(fork, params["merge"]).derivation, derivation)
    prove_merge(document, derivation, base, held)


@merges.check(SECTION)
def refusals(server: Server) -> None:
    """What is no rule, or no branches of one place, is refused by its code."""
    fork = _fork(server)
    state = _offered(server, fork)
    path = f"/v1/states/{state}/render"
    no_rules = (*SEARCHES, "no-such-rule", "v-only:weight=2.0", "v-only:", "cross-wired:weight=0.5")
    for merge in no_rules:
        server.ask("GET", path, params={"merge": merge}).problem(400, "invalid_request")
    laid_out = {"merge": "v-only", "layout": "parallel"}
    server.ask("GET", path, params=laid_out).problem(400, "invalid_request")
    prefix, first, _ = fork
    alone = {"merge": "v-only", "order": str(first.fragment_id)}
    server.ask("GET", path, params=alone).problem(400, "invalid_request")
    server.push(state, server.fresh(start=3, seq_len=9, prefix=prefix.fragment_id)).expect(201)
    uneven = server.ask("GET", path, params={"merge": "v-only"})
    uneven.problem(409, "incompatible_fragments")


def _fork(server: Server, *, num: int = 2, dtype: Dtype = Dtype.BF16) -> list[Fragment]:
    """Return a prefix of three tokens and branches of five behind it."""
    prefix = server.fresh(seq_len=3, dtype=dtype)
    return [
        prefix,
        *(
            server.fresh(start=3, seq_len=5, dtype=dtype, prefix=prefix.fragment_id)
            for _ in range(num)
        ),
    ]


def _offered(server: Server, fork: Sequence[Fragment]) -> str:
    """Return a new state that holds a fork, if the server offers to merge its branches."""
    state = server.holding(*fork)
    params = {"merge": "uniform-average"}
    answer = server.ask("GET", f"/v1/states/{state}/plan", params=params)
    if answer.status == 400:
        answer.problem(400, "invalid_request")
        raise SkipTest("the server offers no merges")
    return state


def _same_merge(
    server: Server, state: str, fork: Sequence[Fragment], merge: str, *, layers: str | None = None
) -> None:
    expected = _merged(fork, merge, layers).render
    params = {"merge": merge} | ({} if layers is None else {"layers": layers})
    answer = server.ask("GET", f"/v1/states/{state}/render", params=params).expect(200)
    same_bytes(answer.asked, expected.to_bytes(), answer.body)
    equal(f"{answer.asked}: ETag", f'"{expected.plan.etag}"', answer.header("etag"))


def _merged(fork: Sequence[Fragment], merge: str, layers: str | None = None) -> Derived:
    prefix, *branches = fork
    plan = plan_of(branches, (prefix,), layout=Layout.PARALLEL)
    held = {fragment.fragment_id: fragment for fragment in fork}
    made = BranchMerge.of(MergeChoice.parse(merge))
    carried = LayerRange.parse(layers or ":", len(plan.geometry.layers))
    return render_derived(plan, made.derivation(plan), made.apply(plan, held), held, layers=carried)
