"""The checks can fail: each catches a server that is wrong in one way, and names the violation."""

from __future__ import annotations

import pytest

from latentcrdt.testing.conformance import Server, checks, judge
from tests.conformance.faulty import FaultyServer
from tests.conformance.wrong_servers import WRONG_SERVERS, WrongServer

CHECKS = {str(check): check for check in checks}


@pytest.mark.parametrize("wrong", WRONG_SERVERS, ids=lambda wrong: f"{wrong.check}: {wrong.fault}")
def test_a_wrong_server_is_caught(faulty: FaultyServer, wrong: WrongServer) -> None:
    check = CHECKS[wrong.check]
    token = "any" if wrong.check == "refusals/tokens" else None
    with Server(faulty.url, token=token) as server:
        wrong.install(faulty)
        outcome = judge(check, server)
    assert not faulty.failures
    assert not outcome.passed


def test_every_check_catches_some_wrong_server() -> None:
    assert {wrong.check for wrong in WRONG_SERVERS} == set(CHECKS)


@pytest.mark.parametrize("name", sorted({wrong.check for wrong in WRONG_SERVERS}))
def test_the_same_server_without_a_fault_passes(faulty: FaultyServer, name: str) -> None:
    faulty.before = faulty.after = lambda *_: None  # through the same hooks
    with Server(faulty.url) as server:
        outcome = judge(CHECKS[name], server)
    assert outcome.passed, (outcome.violation, outcome.notes)
