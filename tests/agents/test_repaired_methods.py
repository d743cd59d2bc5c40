"""Repairs as methods: a full one answers as a single agent does, and none means nothing."""

from __future__ import annotations

import pytest

from latentcrdt.agents.method import Task
from latentcrdt.agents.methods.canonical import CanonicalMerge
from latentcrdt.agents.methods.repaired import Repaired, build_repairs
from latentcrdt.agents.methods.single import SingleAgent
from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.agents.repair import LegoLink
from latentcrdt.agents.team import Team
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

TASK = Task(
    ("Anna lives in Oslo. ", "Ben has a dog. ", "Cora sings. "), "Who?", "Read: ", max_new_tokens=6
)
NAMES = ("ape", "legolink-8", "legolink-16", "cacheblend-15", "cacheblend-30", "reprefill")


def team(**regime):
    model = make_model("llama", num_hidden_layers=3)
    return Team(model, make_tokenizer(), Regime(**regime))


@pytest.fixture(scope="module")
def behind_prefix():
    return team(shared_prefix=True)


def test_the_repairs_have_these_names(behind_prefix):
    assert tuple(build_repairs(behind_prefix)) == NAMES


def test_a_full_repair_answers_as_one_agent_that_read_all_in_that_order(behind_prefix):
    repaired = build_repairs(behind_prefix)["reprefill"].answer(TASK)
    order = repaired.facts["order"]
    contexts = tuple(TASK.contexts[i] for i in order)
    single = SingleAgent(behind_prefix).answer(
        Task(contexts, TASK.question, TASK.preamble, TASK.max_new_tokens)
    )
    assert repaired.text == single.text
    assert repaired.cost.context_tokens == single.cost.context_tokens
    num_prefix = len(behind_prefix.token_ids([TASK.preamble]))
    assert repaired.cost.prefilled_tokens == single.cost.prefilled_tokens - num_prefix


def test_a_repair_of_nothing_answers_as_the_merge(behind_prefix):
    nothing = Repaired(behind_prefix, "nothing", LegoLink(behind_prefix.model, 0), lambda _: 0)
    merged, repaired = CanonicalMerge(behind_prefix).answer(TASK), nothing.answer(TASK)
    assert repaired.text == merged.text
    assert repaired.receipt == merged.receipt
    assert repaired.cost.prefilled_tokens == merged.cost.prefilled_tokens


@pytest.mark.parametrize("name", NAMES)
def test_no_repair_minds_in_which_order_agents_come(behind_prefix, name):
    method = build_repairs(behind_prefix)[name]
    turned = Task(TASK.contexts[::-1], TASK.question, TASK.preamble, TASK.max_new_tokens)
    there, back = method.answer(TASK), method.answer(turned)
    assert there.text == back.text
    assert there.receipt == back.receipt
    assert there.facts.get("derived") == back.facts.get("derived")


@pytest.mark.parametrize("name", NAMES)
def test_latent_rows_are_repaired_too(name):
    thinking = team(rows=Rows.LATENT, question_visible=True, shared_prefix=True, num_steps=3)
    answer = build_repairs(thinking)[name].answer(TASK)
    num_prefix = len(thinking.token_ids([TASK.preamble]))
    assert answer.cost.context_tokens == num_prefix + 3 * 3 + len(TASK.question)
