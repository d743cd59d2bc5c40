"""What /openapi.json says of each call; `make fuzz` holds the answers to it."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import InvalidIdError, InvalidStateNameError

INDIFFERENT = {("delete", "/v1/states/{state}"), ("post", "/v1/states/{state}/sync")}
"""Calls that a retracted state answers as any other."""


@pytest.fixture
def operations(http: httpx2.Client) -> dict[tuple[str, str], Any]:
    paths = http.get("/openapi.json").json()["paths"]
    return {(method, path): call for path, calls in paths.items() for method, call in calls.items()}


def test_every_call_on_a_state_says_what_a_token_and_a_retraction_make_of_it(
    operations: dict[tuple[str, str], Any],
) -> None:
    """Found by schemathesis: answers of 410 that no description promised."""
    calls = {key: call for key, call in operations.items() if "{state}" in key[1]}
    assert calls
    for (method, path), call in calls.items():
        told = {"401", "403", "404"}
        if (method, path) not in INDIFFERENT:
            told.add("410")
        assert told <= call["responses"].keys(), (method, path)


@pytest.mark.parametrize("text", ["a", "a.b-c_9", "A", "-a", "a" * 64, "", "0" * 64, "0" * 63, "é"])
def test_the_pattern_of_a_parameter_is_what_the_server_takes(
    operations: dict[tuple[str, str], Any], text: str
) -> None:
    """Found by schemathesis: names that the description allowed and the server did not."""
    checks = {
        "state": (StateName, InvalidStateNameError),
        "fragment": (FragmentId.parse, InvalidIdError),
    }
    for call in operations.values():
        for parameter in call.get("parameters", ()):
            if parameter["in"] == "path":
                parse, refusal = checks[parameter["name"]]
                try:
                    parse(text)
                    is_taken = True
                except refusal:
                    is_taken = False
                assert bool(re.search(parameter["schema"]["pattern"], text)) == is_taken
