"""What every method promises, and what each one answers against another way to the same."""

from dataclasses import replace

import pytest
import torch

from latentcrdt.agents.method import Answer
from latentcrdt.agents.methods import build_methods
from latentcrdt.agents.methods.bag_merge import BagMerge, bag_orders
from latentcrdt.agents.methods.canonical import CanonicalMerge
from latentcrdt.agents.methods.hand_off import TextHandOff
from latentcrdt.agents.methods.text_merge import TextMerge
from latentcrdt.agents.regime import Regime
from latentcrdt.agents.team import Team
from latentcrdt.core.claims import ClaimedPlan, read_receipt
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf import generate
from tests.agents.crew import REGIMES, TASK, make_team

ORDER_BLIND = ["text-merge", "hand-off", "no-cache", "canonical", "packllm-sim", "packllm-opt"]


@pytest.fixture(scope="module", params=REGIMES, ids=lambda regime: regime.name)
def team(request) -> Team:
    return make_team(request.param)


@pytest.fixture(scope="module")
def answers(team) -> dict[str, Answer]:
    return {name: method.answer(TASK) for name, method in build_methods(team, 3).items()}


def generated(team, text_or_ids) -> str:
    """Return what ``model.generate`` answers to tokens."""
    sequences = team.model.generate(
        torch.tensor([text_or_ids]), max_new_tokens=TASK.max_new_tokens, do_sample=False
    )
    return team.tokenizer.decode(sequences[0, len(text_or_ids) :], skip_special_tokens=True)


def test_a_name_finds_its_method(team):
    assert all(name == method.name for name, method in build_methods(team, 3).items())


def test_every_method_answers_and_says_what_it_took(answers, team):
    question = len(team.question_ids(TASK))
    for name, answer in answers.items():
        assert answer.cost.context_tokens >= answer.cost.prefilled_tokens >= question, name
        assert answer.cost.first_token_s > 0
        assert (answer.cost.bytes_moved == 0) == (name == "no-cache")


def test_caches_spare_the_final_agent_all_but_the_question(answers, team):
    question = len(team.question_ids(TASK))
    assert answers["canonical"].cost.prefilled_tokens == question
    assert answers["packllm-sim"].cost.prefilled_tokens == 3 * question
    assert answers["single"].cost.prefilled_tokens == answers["single"].cost.context_tokens


@pytest.mark.parametrize("name", ORDER_BLIND)
def test_the_order_of_the_agents_does_not_show(team, answers, name):
    method = build_methods(team, 3)[name]
    turned = method.answer(replace(TASK, contexts=TASK.contexts[::-1]))
    assert turned.text == answers[name].text
    if name == "canonical":
        assert turned.receipt == answers[name].receipt


def test_the_canonical_answer_is_that_of_the_bag_in_its_order(answers):
    canonical = answers["canonical"]
    order = "".join(map(str, canonical.facts["order"]))
    bag = answers[f"bag-{order}"]
    assert bag.text == canonical.text
    assert bag.receipt == canonical.receipt
    assert canonical.receipt["order"] == "canonical"
    orders = {answer.receipt["order"] for name, answer in answers.items() if "bag" in name}
    assert orders == {"canonical", "bag"}


def test_a_receipt_is_one_that_can_be_verified(team, answers):
    reading = team.read(TASK)
    headers = {i: fragment.header for i, fragment in reading.by_id.items()}
    document = answers["canonical"].receipt
    read_receipt(document, ClaimedPlan.of(document).place(headers))


def test_the_canonical_answer_is_what_generate_says(team, answers):
    reading = team.read(TASK)
    rendered = reading.render(reading.canonical())
    options = {"max_new_tokens": TASK.max_new_tokens, "do_sample": False}
    expected = generate(team.model, team.tokenizer, rendered, TASK.question, **options)
    assert answers["canonical"].text == expected


def test_methods_of_text_answer_what_generate_says(team, answers):
    pieces = [TASK.preamble, *TASK.contexts, TASK.question]
    assert answers["single"].text == generated(team, team.token_ids(pieces))
    nothing_read = [TASK.preamble, TASK.question]
    assert answers["no-cache"].text == generated(team, team.token_ids(nothing_read))


def test_one_agent_alone_is_the_same_by_cache_and_by_text():
    team, task = make_team(), replace(TASK, contexts=TASK.contexts[:1])
    answers = {name: method.answer(task) for name, method in build_methods(team, 1).items()}
    del answers["no-cache"], answers["hand-off"]
    assert answers.keys() == {
        "single", "text-merge", "canonical", "bag-0", "packllm-sim", "packllm-opt"
    }  # fmt: skip
    assert len({answer.text for answer in answers.values()}) == 1


def test_agents_that_read_the_same_are_one_member_of_the_set():
    team = make_team()
    twice = replace(TASK, contexts=(*TASK.contexts, TASK.contexts[0]))
    once, again = (CanonicalMerge(team).answer(task) for task in (TASK, twice))
    assert (again.text, again.receipt) == (once.text, once.receipt)
    bag = BagMerge(team, (3, 1, 2, 0)).answer(twice)
    assert len(bag.receipt["plan"]["fragments"]) == 3


def test_notes_are_what_the_agents_would_write_and_are_read_for_the_contexts():
    team = make_team()
    answer = TextHandOff(team, note_tokens=4).answer(TASK)
    written = {
        team.tokenizer.decode(
            team.model.generate(
                torch.tensor([team.token_ids([TASK.preamble, text])]),
                max_new_tokens=4,
                do_sample=False,
            )[0, -4:],
            skip_special_tokens=True,
        )
        for text in TASK.contexts
    }
    assert set(answer.facts["notes"]) == written
    pieces = [TASK.preamble, *answer.facts["notes"], TASK.question]
    assert answer.text == generated(team, team.token_ids(pieces))


def test_text_merge_reads_each_text_once():
    team = make_team()
    twice = replace(TASK, contexts=TASK.contexts * 2)
    assert TextMerge(team).answer(twice).cost.bytes_moved == sum(map(len, TASK.contexts))


@pytest.mark.parametrize("num_agents", range(1, 5))
def test_few_agents_stand_in_every_order(num_agents):
    orders = bag_orders(num_agents)
    assert len(set(orders)) == len(orders) == [1, 2, 6, 24][num_agents - 1]
    assert all(sorted(order) == list(range(num_agents)) for order in orders)


def test_many_agents_stand_in_each_rotation_and_its_reverse():
    orders = bag_orders(5)
    assert len(set(orders)) == 10
    assert (0, 1, 2, 3, 4) in orders
    assert (4, 3, 2, 1, 0) in orders


def test_an_order_of_other_agents_is_refused():
    with pytest.raises(InvalidRequestError, match="each of 3 agents once"):
        BagMerge(make_team(), (0, 1)).answer(TASK)


def test_a_stop_token_ends_the_answer():
    team = make_team()
    (first,) = team.tokenizer(CanonicalMerge(team).answer(TASK).text[0])["input_ids"][1:]
    team.model.generation_config.eos_token_id = [2, first]
    assert CanonicalMerge(team).answer(TASK).text == ""


def test_a_question_of_no_tokens_is_refused():
    task = replace(TASK, question="")
    for name, method in build_methods(make_team(), 3).items():
        if name not in ("single", "text-merge", "hand-off", "no-cache"):
            with pytest.raises(InvalidRequestError, match="at least one token"):
                method.answer(task)


def test_a_shared_prefix_needs_a_preamble():
    team = make_team(Regime(shared_prefix=True))
    with pytest.raises(InvalidRequestError, match="preamble"):
        team.read(replace(TASK, preamble=""))


def test_a_task_without_contexts_is_refused():
    with pytest.raises(InvalidRequestError, match="at least one context"):
        make_team().read(replace(TASK, contexts=()))
