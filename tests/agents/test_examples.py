"""The programs of scripts/examples as they stand, on the real model and a real server."""

import importlib
import inspect
from pathlib import Path

import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client
from scripts import examples
from scripts.examples import memory, planner_critic_solver, researchers


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as server:
        yield server.url


def members(url, state):
    with Client(url) as client:
        return client.state(state).members


def test_the_writer_reports_what_both_researchers_found(url):
    report = researchers.main(url)
    assert "1841" in report
    assert "solar" in report
    assert len(members(url, researchers.STATE)) == 3


def test_the_solver_decodes_from_problem_plan_and_both_critics(url):
    solution = planner_critic_solver.main(url)
    listed = {m.fragment_id: m for m in members(url, planner_critic_solver.STATE)}
    (plan,) = (m for m in listed.values() if m.num_latent_rows)
    critics = [m for m in listed.values() if m.prefix == plan.fragment_id]
    assert plan.num_latent_rows == planner_critic_solver.NUM_STEPS
    assert (len(listed), len(critics)) == (4, 2)
    assert listed[plan.prefix].prefix is None
    assert "bus" in solution  # which only a critic says


def test_a_conversation_knows_what_a_memory_told_it_on_the_way(url):
    before, after = memory.main(url)
    assert "Paris" in before
    assert "Biscuit" in after
    so_far, block = members(url, "conversation")
    assert {m.fragment_id for m in members(url, "memories")} < {
        so_far.fragment_id,
        block.fragment_id,
    }


@pytest.mark.parametrize(
    "path", sorted(Path(examples.__file__).parent.glob("[!_]*.py")), ids=lambda path: path.stem
)
def test_an_example_is_short_and_takes_the_address_of_a_server(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 70
    module = importlib.import_module(f"scripts.examples.{path.stem}")
    assert list(inspect.signature(module.main).parameters) == ["url"]
