from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.merge_choice import MAX_CHARS, MergeChoice
from latentcrdt.core.plan import Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import InvalidRequestError

WORDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
NUMBERS = st.floats(-1e100, 1e100, allow_subnormal=False).filter(lambda x: len(repr(x)) < 20)


@given(WORDS, st.dictionaries(WORDS, NUMBERS, max_size=4))
def test_a_choice_is_read_back_from_its_spelling(strategy: str, given: dict[str, float]) -> None:
    choice = MergeChoice(strategy, tuple(sorted(given.items())))
    assert MergeChoice.parse(str(choice)) == choice


def test_equal_choices_are_equal_queries_however_they_are_spelled() -> None:
    one = RenderQuery(merge="cosine-gated:weight=0.30,threshold=0.8")
    assert one == RenderQuery(merge="cosine-gated:threshold=8e-1,weight=0.3")
    assert one.to_params() == {"merge": "cosine-gated:threshold=0.8,weight=0.3"}
    assert RenderQuery.from_params(one.to_params()) == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "v-only:",
        "v-only:weight",
        "v-only:weight=",
        "v-only:weight=0.3,",
        "v-only:weight=0.3,weight=0.4",
        "v-only:weight=nan",
        "v-only:weight=1_0",
        "v-only:weight= 1",
        "v-only:weight=1e999",
        "V-only",
        "v only",
        "v-only\n",
        "a" * (MAX_CHARS + 1),
        "a:" + ",".join(f"weight-{i}=0.5" for i in range(MAX_CHARS)),
    ],
)
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="merge: expected"):
        RenderQuery(merge=text)


@pytest.mark.parametrize("choice", [{"layout": Layout.PARALLEL}, {"stride": 8}])
def test_branches_are_not_laid_out(choice: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match="neither layout nor stride"):
        RenderQuery(merge="v-only", **choice)  # type: ignore[arg-type]


def test_the_branches_of_a_merge_are_all_their_layers_where_they_were_captured() -> None:
    query = RenderQuery(merge="v-only", layers="0:1")
    assert query.of_branches() == RenderQuery(layout=Layout.PARALLEL)
