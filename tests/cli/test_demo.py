"""The demo on the real model, as ``make demo`` runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from latentcrdt import Client
from latentcrdt.cli.demo.narrator import Narrator
from latentcrdt.cli.demo.report import Report
from latentcrdt.cli.demo.stopping import stoppable
from latentcrdt.errors import ConnectionFailedError

COMMAND = [sys.executable, "-m", "latentcrdt", "demo"]


@pytest.fixture(scope="module")
def document():
    result = subprocess.run([*COMMAND, "--json"], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_every_claim_of_the_demo_holds(document):
    assert document["ok"] is True
    assert set(document["claims"]) == {
        "redelivery_absorbed",
        "equal_roots",
        "equal_renders",
        "equal_local_render",
        "bag_merge_orders_differ",
        "canonical_is_one_order",
        "clean_shutdown",
    }
    assert all(document["claims"].values())


def test_the_claims_are_backed_by_what_is_reported(document):
    assert len(set(document["roots"])) == 1
    assert len(set(document["render_digests"].values())) == 1
    assert len(document["render_digests"]) == 3
    bag = document["bag_merge_digests"]
    assert bag["AB"] != bag["BA"]
    assert document["render_digests"]["client"] in bag.values()


def test_both_answers_are_given_as_they_are(document):
    assert set(document["answers"]) == {"from_render", "from_text"}
    assert all(answer.strip() for answer in document["answers"].values())


def test_a_stopped_demo_leaves_no_server_and_no_data(tmp_path):
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        for line in process.stdout:
            if "http://" in line:
                url = line.strip()
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait() == 128 + signal.SIGTERM
    assert list(tmp_path.glob("latentcrdt-demo-*")) == []
    with Client(url, attempts=1) as client, pytest.raises(ConnectionFailedError):
        client.states()


def test_a_claim_that_fails_fails_the_demo():
    report = Report(Narrator(Console(quiet=True), on_step=lambda: None))
    with report.narrator.step("Step"):
        report.check("good", "this holds", True)
        report.check("bad", "this does not", False)
    assert report.holds is False
    assert report.document()["claims"] == {"good": True, "bad": False}


def test_a_signal_whose_exception_was_dropped_is_obeyed_at_the_next_step():
    class Dropping:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with stoppable() as stop:
        narrator = Narrator(Console(quiet=True), on_step=stop.obey)
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            Dropping()
        finally:
            sys.unraisablehook = hook
        with pytest.raises(SystemExit) as caught, narrator.step("next"):
            pytest.fail("the step was begun")
    assert caught.value.code == 128 + signal.SIGTERM
