"""The verdict: one thing wrong makes a run invalid, and what was not seen makes it unknown."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from latentcrdt.testing.jepsen.aftermath import Fetches, agree
from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.recorder import Recorder
from latentcrdt.testing.jepsen.verdict import judge
from tests.jepsen.histories import Script

GOOD = Fetches(2, ())


def sound() -> Script:
    script = Script()
    script.add(0)
    script.recorder.note("kill", "begins")
    script.info(script.begin_add(1))
    script.recorder.note("kill", "ended")
    script.read(0, 1, server=0)
    script.read(0, 1, server=1)
    return script


def test_a_sound_run_is_valid_and_its_figures_are_counted():
    verdict = judge(sound().history, range(2), GOOD, 0.5)
    assert verdict.validity == "valid"
    document = json.loads(json.dumps(verdict.to_document()))
    assert (document["acknowledged"], document["attempted"], document["lost"]) == (1, 2, [])
    assert (document["faults"], document["errors"]) == ({"kill": 1}, {"no answer": 1})
    assert document["verdict"] == dict(verdict.rows())["verdict"] == "valid"


@pytest.mark.parametrize(
    ("fetches", "agreement_s"), [(Fetches(1, ("element 0, server 1: gone",)), 0.5), (GOOD, None)]
)
def test_a_fragment_that_cannot_be_fetched_or_servers_that_do_not_agree_are_invalid(
    fetches: Fetches, agreement_s: float | None
):
    assert judge(sound().history, range(2), fetches, agreement_s).validity == "invalid"


def test_a_server_that_was_never_read_leaves_the_verdict_open():
    assert judge(sound().history, range(3), GOOD, 0.5).validity == "unknown"


def test_a_lost_element_is_named_with_the_server_that_lacks_it():
    script = sound()
    script.read(1, server=1)
    verdict = judge(script.history, range(2), GOOD, 0.5)
    rows = dict(verdict.rows())
    assert verdict.validity == "invalid"
    assert rows["lost"].split() == ["1", "0"]
    assert rows["server 1 lacks"].split() == ["1", "0"]


class ScriptedReads:
    """In place of a workload: servers that answer what is written here, in turn."""

    def __init__(self, *answers: Elements | None) -> None:
        self.answers = list(answers)

    def new_process(self) -> int:
        return 100

    async def read(self, process: int, server: int) -> Elements | None:
        return self.answers.pop(0)


def agreed(*answers: Elements | None, patience_s: float = 60.0) -> float | None:
    recorder = Recorder(io.StringIO())
    recorder.end(recorder.begin(0, "add", 0, 7), "ok")
    reads = ScriptedReads(*answers)
    seconds = asyncio.run(agree(reads, recorder, range(2), patience_s))  # type: ignore[arg-type]
    assert not reads.answers
    return seconds


def test_servers_are_read_until_they_agree_on_all_that_was_acknowledged():
    less, all_, more = Elements(), Elements.of([7]), Elements.of([7, 8])
    assert agreed(less, less, all_, None, all_, more, more, more) is not None


def test_servers_that_do_not_agree_in_time_are_read_once_at_least():
    assert agreed(Elements.of([7]), None, patience_s=0.0) is None
