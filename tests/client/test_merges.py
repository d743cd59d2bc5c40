"""What a client does not take from a server that merges: other rules, branches, or rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client
from latentcrdt.client.calls import Call
from latentcrdt.client.flows.steps import Download, Step
from latentcrdt.client.gate import Gate
from latentcrdt.client.plan_checks import check_plan
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import ClassId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import (
    DigestMismatchError,
    InvalidRequestError,
    MalformedError,
    UnexpectedAnswerError,
)
from latentcrdt.testing.fragments import make_fragment
from tests.client.test_repair import Reversal
from tests.merging.branches import fork, merged_here, plan_of

QUERY = RenderQuery(merge="v-only")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process.url


@pytest.fixture
def forked() -> list[Fragment]:
    return fork(int.from_bytes(uuid4().bytes[:4]))


@pytest.fixture
def state(server: str, forked: list[Fragment]) -> str:
    name = f"s-{uuid4().hex}"
    with Client(server) as client:
        for fragment in forked:
            client.push(name, fragment)
    return name


class Misled(Client):
    """A client whose server is wrong in one way; ``asked`` are its calls on states."""

    def __init__(
        self,
        url: str,
        *,
        before: Callable[[Any], Any] = lambda step: step,
        after: Callable[[str, Any], Any] = lambda what, result: result,
    ) -> None:
        super().__init__(url)
        self._before, self._after = before, after
        self.asked: list[str] = []

    def _perform(self, step: Step, gate: Gate) -> Any:
        if not isinstance(step, Call | Download):
            return super()._perform(step, gate)
        what = step.path.rpartition("/")[2]
        self.asked.append(what)
        return self._after(what, super()._perform(self._before(step), gate))


def test_a_merge_by_another_rule_is_found_by_its_receipt(server: str, state: str) -> None:
    def other_rule(step: Any) -> Any:
        merged = "merge" in step.params
        return replace(step, params=step.params | {"merge": "cross-wired"}) if merged else step

    with Misled(server, before=other_rule) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"by v-only \{'weight': '0.5'\}, got"):
            client.render(state, QUERY)
        with pytest.raises(UnexpectedAnswerError, match="by v-only"):
            client.render_layers(state, QUERY)


@pytest.mark.parametrize("where", ["server", "client"])
def test_another_anchor_than_the_canonical_one_is_refused(
    server: str, state: str, where: Any
) -> None:
    def turned(what: str, result: Any) -> Any:
        if what == "plan":
            branches = [fragment.header for fragment in made]
            document = dict(result, fragments=result["fragments"][::-1])
            order = [entry["id"] for entry in document["fragments"]]
            branches.sort(key=lambda header: order.index(str(header.fragment_id)))
            plan = place(branches, [prefix.header], layout=Layout.PARALLEL)
            return dict(document, render_id=str(plan.render_id))
        return result

    with Client(server) as client:
        ids = [entry["id"] for entry in client.plan(state, QUERY.of_branches())["fragments"]]
        made = [client.fetch(m.fragment_id) for m in client.state(state).members]
        prefix = next(f for f in made if str(f.fragment_id) not in ids)
        made.remove(prefix)
    with (
        Misled(server, after=turned) as client,
        pytest.raises(UnexpectedAnswerError, match="canonical order"),
    ):
        client.derive(state, QUERY, where=where)


@pytest.mark.parametrize("part", ["keys", "values"])
def test_rows_that_differ_from_the_receipt_are_named(server: str, state: str, part: str) -> None:
    def lie(what: str, result: Any) -> Any:
        if what == "receipt":
            result["sections"][-1][part] = "0" * 64
        return result

    with (
        Misled(server, after=lie) as client,
        pytest.raises(DigestMismatchError, match=f"layer 2, {part}"),
    ):
        client.derive(state, QUERY)


@pytest.mark.parametrize("field", ["derivation", "base"])
def test_a_receipt_without_its_derivation_is_none_of_a_merge(
    server: str, state: str, field: str
) -> None:
    def forgetful(what: str, result: Any) -> Any:
        return {k: v for k, v in result.items() if k != field} if what == "receipt" else result

    with Misled(server, after=forgetful) as client, pytest.raises(MalformedError):
        client.derive(state, QUERY)


def test_a_state_that_grows_meanwhile_changes_nothing_of_the_merge(
    server: str, state: str, forked: list[Fragment]
) -> None:
    prefix, first, _ = forked
    third = make_fragment(3, start=3, seq_len=first.header.seq_len, prefix=prefix.fragment_id)

    def growing(what: str, result: Any) -> Any:
        if what == "plan":
            with Client(server) as other:
                other.push(state, third)
        return result

    expected = merged_here(forked, QUERY)
    with Misled(server, after=growing) as client:
        assert client.derive(state, QUERY) == expected
    with Client(server) as client:
        assert client.derive(state, QUERY) == merged_here([*forked, third], QUERY)


def test_more_branches_than_a_question_holds_are_not_named(
    server: str, state: str, forked: list[Fragment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentcrdt.client.flows.merging.MAX_NAMED", 1)
    prefix, first, _ = forked
    third = make_fragment(4, start=3, seq_len=first.header.seq_len, prefix=prefix.fragment_id)
    questions: list[dict[str, str]] = []

    def noted(step: Any) -> Any:
        questions.append(dict(step.params))
        return step

    def growing(what: str, result: Any) -> Any:
        if what == "render":
            with Client(server) as other:
                other.push(state, third)
        return result

    with Misled(server, before=noted) as client:
        assert client.derive(state, QUERY) == merged_here(forked, QUERY)
    assert questions[1:] == [{"merge": "v-only"}] * 2
    with (
        Misled(server, after=growing) as client,
        pytest.raises(DigestMismatchError, match="plan, render_id"),
    ):
        client.derive(state, QUERY)


def test_who_wants_no_check_asks_for_no_receipt(server: str, state: str) -> None:
    with Misled(server) as client:
        client.derive(state, QUERY, verify=False)
        assert client.asked == ["plan", "render"]


def test_a_merge_is_made_here_where_its_branches_are(
    server: str, state: str, forked: list[Fragment]
) -> None:
    held = {fragment.fragment_id: fragment for fragment in forked}
    with Misled(server) as client:
        derived = client.derive(state, QUERY, held=held)
        assert client.asked == ["plan"]
    assert derived == merged_here(forked, QUERY)


def test_a_derived_render_is_a_repair_or_a_merge(server: str, state: str) -> None:
    with Client(server) as client:
        for choice in ({}, {"query": QUERY, "repair": Reversal()}):
            with pytest.raises(InvalidRequestError, match="one of them"):
                client.derive(state, **choice)
        rendered = client.render(state)
        with pytest.raises(InvalidRequestError, match="no previous render"):
            client.render(state, QUERY, previous=rendered)
        with pytest.raises(InvalidRequestError, match="without merge"):
            client.receipt_for(state, rendered.plan, QUERY)


def test_a_plan_of_anything_but_the_merged_branch_is_no_answer(forked: list[Fragment]) -> None:
    prefix, first, second = forked
    right = merged_here(forked, QUERY).render.plan
    check_plan(right, QUERY)
    moved = replace(right.placements[0], new_start=4)
    captured_elsewhere = replace(right.placements[0], start=4)
    wrong = {
        "number of fragments": place([first.header, second.header], [prefix.header]),
        "layout": replace(plan_of(prefix, [first]), layout=Layout.PARALLEL),
        "place": replace(right, placements=(moved,)),
        "layers": replace(right, layers=LayerRange(0, 1)),
    }
    for name, plan in wrong.items():
        with pytest.raises(UnexpectedAnswerError, match=name):
            check_plan(plan, QUERY)
    with pytest.raises(UnexpectedAnswerError, match="place"):
        check_plan(replace(right, placements=(captured_elsewhere,)), QUERY)
    with pytest.raises(UnexpectedAnswerError, match="class"):
        check_plan(right, replace(QUERY, class_id=ClassId(b"\x01" * 32)))
