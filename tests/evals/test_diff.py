"""Two runs compared: nothing where they are equal, and the first place where they are not."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.evals.diff import Change, changes, diff_runs
from latentcrdt.evals.run_directory import RunDirectory
from latentcrdt.evals.runner import run
from tests.evals.fakes import CELLS, SESSION, FakeBenchmark, FakeMethod, fake_methods


def make(path, methods_of=fake_methods, *, cells=CELLS, seed=0):
    with RunDirectory(path, {"metrics": ["correct"], "seed": seed}, SESSION) as directory:
        run(cells, FakeBenchmark(), methods_of, directory)
    return path


def changed(**changes_of):
    """Return methods of which the canonical one is changed."""

    def methods_of(cell):
        first, *others = fake_methods(cell)
        for name, value in changes_of.items():
            setattr(first, name, value)
        return [first, *others]

    return methods_of


def test_a_run_does_not_differ_from_itself_made_again(tmp_path):
    found = diff_runs(make(tmp_path / "a"), make(tmp_path / "b"))
    assert found.is_empty
    assert found.num_common == 40
    assert found.settings == ()


def test_another_answer_is_found_with_its_score(tmp_path):
    b = make(tmp_path / "b", changed(right=lambda i: i in (0, 1)))
    found = diff_runs(make(tmp_path / "a"), b)
    assert [d.key.item_id for d in found.differing] == ["q3", "q3"]  # in both regimes
    assert found.differing[0].answers == Change("text", "0", "wrong")
    assert found.differing[0].score == Change("correct", 1.0, 0.0)
    assert found.differing[0].receipt is None
    assert found.differing[0].other is None


def test_another_receipt_is_found_where_it_first_differs(tmp_path):
    class Elsewhere(FakeMethod):
        def answer(self, task):
            answer = super().answer(task)
            answer.receipt["contexts"] = [task.contexts[0], "other"]
            return answer

    def methods_of(cell):
        first, *others = fake_methods(cell)
        return [Elsewhere(first.name, first.right), *others]

    found = diff_runs(make(tmp_path / "a"), make(tmp_path / "b", methods_of))
    assert len(found.differing) == 10
    first = found.differing[0]
    assert first.receipt == Change("contexts[1]", "0 of agent 1", "other")
    assert (first.answers, first.score, first.other) == (None, None, None)


def test_other_facts_are_found(tmp_path):
    found = diff_runs(make(tmp_path / "a"), make(tmp_path / "b", changed(note="new")))
    assert found.differing[0].other == Change("facts.note", "canonical", "new")
    assert found.differing[0].answers is None


def test_answers_that_one_run_lacks_are_listed(tmp_path):
    a, b = make(tmp_path / "a"), make(tmp_path / "b", cells=CELLS[:1], seed=1)
    there, back = diff_runs(a, b), diff_runs(b, a)
    assert len(there.only_first) == len(back.only_second) == 20
    assert there.only_second == back.only_first == ()
    assert there.settings == (Change("seed", 0, 1),)
    assert not there.is_empty


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(documents, documents)
def test_two_documents_have_no_changes_only_when_they_are_equal(first, second):
    # As JSON, since in Python 1 and True are equal.
    are_equal = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (list(changes(first, second)) == []) == are_equal
