"""The pages for operators, beside the server, the command line and the tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from latentcrdt_server.metrics import Metrics
from latentcrdt_server.peer_metrics import PeerMetrics
from latentcrdt_server.problems import STATUS
from latentcrdt_server.settings import Settings
from prometheus_client import generate_latest

from scripts.make_settings_table import page

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
THREATS = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_that_of_the_server() -> None:
    assert page(OPERATING) == OPERATING, "run python -m scripts.make_settings_table"


def test_every_variable_that_is_named_is_known() -> None:
    known = {f"LATENTCRDT_{name.upper()}" for name in Settings.model_fields} | {"LATENTCRDT_TOKEN"}
    assert set(re.findall(r"LATENTCRDT_[A-Z_]+", OPERATING)) == known


def test_every_metric_that_is_named_is_there_and_every_alert_is_explained() -> None:
    text = (generate_latest(Metrics().registry) + generate_latest(PeerMetrics([]))).decode()
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    named = set(re.findall(r"`(latentcrdt_[a-z_]+|process_[a-z_]+)", OPERATING))
    assert named <= exposed
    rules = yaml.safe_load((ROOT / "docker" / "alerts.yml").read_text())["groups"][0]["rules"]
    table = re.findall(
        r"^\| `.*\|$", OPERATING[OPERATING.index("## What to watch") :], re.MULTILINE
    )
    assert len(table) == len(rules)
    for rule, row in zip(rules, table, strict=True):
        metrics = re.findall(r"latentcrdt_\w+|process_\w+|\bup\b", rule["expr"])
        assert metrics[0] in row, f"{rule['alert']}: {row}"
        assert rule["labels"]["severity"] in row
        for code in re.findall(r'code="(\w+)"', rule["expr"]):
            assert code in row
            assert code in STATUS
        minutes = re.fullmatch(r"(\d+)m", rule.get("for", ""))
        assert minutes is None or f"{minutes[1]} min: " in row


NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", THREATS)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_the_threat_model_names_is_there(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_guard_has_a_test() -> None:
    guards = THREATS[THREATS.index("## Guards") : THREATS.index("## Out of scope")]
    rows = [r for r in guards.splitlines() if r.startswith("| ") and not r.startswith("| threat")]
    assert len(rows) > 25
    for row in rows:
        assert "::test_" in row
