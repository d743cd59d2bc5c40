"""Judges are asked in both orders; cases know their right answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.evals.models import LoadedModel, load_model
from latentcrdt.evals.two_models.cases import Case, cases
from latentcrdt.evals.two_models.findings import findings
from latentcrdt.evals.two_models.judge import (
    ModelJudge,
    Preference,
    by_answer,
    contest,
    known_points,
)
from latentcrdt.evals.two_models.record import Bounded, Judgement, Record, Setting
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer


def case(number=0, answer="yes"):
    return Case(f"c{number}", "any", "is it?", "is it?", answer, lambda text: answer in text)


preferences = st.sampled_from(list(Preference))


@given(preferences, preferences)
def test_a_contest_is_the_same_from_the_other_side(there, back):
    def judge(_case, first, second):
        return there if first == "x" else back

    assert contest(judge, case(), "x", "y") + contest(judge, case(), "y", "x") == 1


def test_who_goes_by_the_place_alone_makes_a_tie():
    for place in (Preference.FIRST, Preference.SECOND):
        assert contest(lambda *_, p=place: p, case(), "x", "y") == 0.5


def test_equal_texts_are_a_tie_without_being_asked():
    def judge(*_):
        raise AssertionError

    assert contest(judge, case(), "x", "x") == 0.5


def test_the_right_answer_wins_and_two_right_or_wrong_ones_tie():
    assert contest(by_answer, case(), "oh yes", "no") == 1
    assert contest(by_answer, case(), "no", "oh yes") == 0
    assert contest(by_answer, case(), "yes", "oh yes") == 0.5
    assert contest(by_answer, case(), "no", "never") == 0.5


def test_a_judge_is_shown_right_answers_beside_wrong_ones():
    several = [case(i, answer) for i, answer in enumerate(("yes", "no"))]
    assert known_points(by_answer, several) == {"c0": 1, "c1": 1}
    assert known_points(by_answer, several[:1]) == {}


def test_a_model_can_judge():
    judge = ModelJudge(LoadedModel("tiny", make_model("llama"), make_tokenizer()))
    assert judge(case(), "x", "y") in (Preference.FIRST, Preference.SECOND)
    assert contest(judge, case(), "x", "y") in (0, 0.5, 1)


def test_cases_of_both_tasks_know_their_answers():
    loaded = LoadedModel("tiny", make_model("llama"), make_tokenizer())
    found = cases(("partitioned", "general"), loaded, 3, num_shards=2)
    assert len(found) == 3 * (5 + 4)
    assert len({c.case_id for c in found}) == len(found)
    for one in found:
        assert one.is_right(one.answer), one.case_id
        assert one.is_right(f"{one.answer.strip().upper()}."), one.case_id
        assert not one.is_right("perhaps")


def test_the_reference_model_is_asked_as_it_was_taught():
    found = cases(("partitioned",), load_model("reference-early"), 1, num_shards=2)
    assert not any("Answer" in one.prompt for one in found)


def test_only_the_first_admissible_word_counts():
    loaded = LoadedModel("tiny", make_model("llama"), make_tokenizer())
    found = cases(("partitioned",), loaded, 1, num_shards=2)
    counting = next(c for c in found if c.category == "counting")
    word = counting.answer.strip()
    other = "one" if word != "one" else "two"
    assert counting.is_right(f"perhaps {word}, not {other}")
    assert not counting.is_right(f"{other}, not {word}")


def record(layer, alpha, loss, violations=0.0):
    bound = (Bounded(1.0, 1.0, 0.0, violations, 1.0, 0.0, 1.0),)
    ids = [f"c{i}" for i in range(12)]
    setting = Setting("latent", layer, "lerp", alpha)
    return Record(
        setting,
        dict.fromkeys(ids, ""),
        dict.fromkeys(ids, True),
        {name: loss + i / 100 for i, name in enumerate(ids)},
        (),
        bound,
    )


def verdicts(records, points=0.5):
    setting = Setting("latent", 2, "lerp", 0.5)
    judged = [Judgement("j", setting, {f"c{i}": points for i in range(12)})]
    return [str(f.verdict) for f in findings(records, judged, num_layers=4)]


def test_findings_follow_what_was_measured():
    late_is_better = [record(n, a, n != 2) for n in range(4) for a in (0.25, 0.75)]
    assert verdicts(late_is_better, 1.0) == [
        "reproduced",
        "reproduced",
        "no significant difference",
        "reproduced",
        "reproduced",
    ]
    late_is_worse = [record(n, a, n == 2, 0.5) for n in range(4) for a in (0.25, 0.75)]
    assert verdicts(late_is_worse, 0.0) == [
        "refuted",
        "refuted",
        "no significant difference",
        "refuted",
        "refuted",
    ]
    high_is_better = [record(n, a, a == 0.25) for n in range(3) for a in (0.25, 0.75)]
    assert verdicts(high_is_better)[2:4] == ["reproduced", "untestable here"]
