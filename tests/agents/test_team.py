"""What agents read, and that they read it once."""

from dataclasses import replace

import pytest

from latentcrdt.agents import team as team_module
from latentcrdt.agents.methods import build_methods
from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.agents.team import Team, fragment_memory
from latentcrdt.agents.think import think
from tests.agents.crew import TASK, make_team


@pytest.fixture
def thoughts(monkeypatch):
    """Count what agents really read."""
    made = []

    def counting(*args, **kwargs):
        made.append(args[2])
        return think(*args, **kwargs)

    monkeypatch.setattr(team_module, "think", counting)
    return made


def test_all_methods_together_read_each_context_once(thoughts):
    team = make_team(Regime(num_steps=2, shared_prefix=True))
    for method in build_methods(team, 3).values():
        method.answer(TASK)
    assert len(thoughts) == 4  # the prefix and three contexts


def test_teams_of_different_regimes_share_a_memory_without_mixing_it_up(thoughts):
    memory = fragment_memory()
    model, tokenizer = make_team().model, make_team().tokenizer
    regimes = [
        Regime(rows, visible, prefix, steps)
        for rows in Rows
        for visible in (False, True)
        for prefix in (False, True)
        for steps in (1, 2)
    ]
    shared = [Team(model, tokenizer, regime, memory).read(TASK) for regime in regimes]
    assert len(thoughts) == 16 * 3 + 1
    alone = [Team(model, tokenizer, regime).read(TASK) for regime in regimes]
    assert [r.by_id.keys() for r in shared] == [r.by_id.keys() for r in alone]


def test_a_memory_too_small_for_one_fragment_changes_no_answer():
    team = make_team()
    forgetful = replace(team, memory=fragment_memory(1))
    assert forgetful.read(TASK) == team.read(TASK)
    assert len(forgetful.memory) == 0


def test_a_preamble_is_read_by_every_agent_or_once_before_all():
    alone, behind = (make_team(Regime(shared_prefix=shared)) for shared in (False, True))
    reading = alone.read(TASK)
    assert reading.prefixes == ()
    expected = [tuple(alone.token_ids([TASK.preamble, text])) for text in TASK.contexts]
    assert [f.header.token_ids for f in reading.fragments] == expected
    reading = behind.read(TASK)
    (prefix,) = reading.prefixes
    assert prefix.header.token_ids == tuple(behind.token_ids([TASK.preamble]))
    assert [(*prefix.header.token_ids, *f.header.token_ids) for f in reading.fragments] == expected
    assert {f.header.prefix for f in reading.fragments} == {prefix.fragment_id}


def test_a_visible_question_stands_behind_the_context():
    team = make_team(Regime(question_visible=True))
    first = team.read(TASK).fragments[0]
    pieces = [TASK.preamble, TASK.contexts[0], TASK.question]
    assert first.header.token_ids == tuple(team.token_ids(pieces))
