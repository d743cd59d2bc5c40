"""``render --merge`` and the proof of its receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latentcrdt import Client
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import plan_of_derived
from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.core.query import RenderQuery
from latentcrdt.merging.search import SEARCHES
from latentcrdt.merging.strategies import STRATEGIES
from tests.merging.branches import fork, merged_here

FORK = fork(4321)


@pytest.fixture
def folder(server, name, tmp_path) -> Path:
    with Client(server) as client:
        for fragment in FORK:
            client.push(name, fragment)
            (tmp_path / str(fragment.fragment_id)).write_bytes(fragment.to_bytes())
    return tmp_path


@pytest.fixture
def receipt(run, folder, name) -> Path:
    path = folder / "receipt.json"
    options = ("--merge", "late-only:weight=0.3", "--receipt", path, "-o", folder / "render")
    result = run("render", name, *options)
    assert result.exit_code == 0, result.output
    return path


def altered(receipt: Path, change) -> Path:
    document = json.loads(receipt.read_text())
    change(document)
    receipt.write_text(json.dumps(document))
    return receipt


@pytest.mark.parametrize("where", ["server", "client"])
def test_a_merge_is_written_wherever_it_is_made(run, folder, name, where):
    out = folder / "render"
    result = run("render", name, "--merge", "v-only", "--where", where, "-o", out)
    assert result.exit_code == 0, result.output
    expected = merged_here(FORK, RenderQuery(merge="v-only")).render
    assert out.read_bytes() == expected.to_bytes()


def test_a_receipt_of_a_merge_is_proven_by_merging_again(run, folder, receipt):
    result = run("verify", receipt, "--fragments", folder)
    assert result.exit_code == 0, result.output
    assert "merged again (merge late-only), equal in all 6 sections" in result.stdout
    told = json.loads(run("verify", receipt, "--json").stdout)
    assert told["derivation"]["parameters"] == {"weight": "0.3"}
    expected = merged_here(FORK, RenderQuery(merge="late-only:weight=0.3"))
    assert told["derived"] == str(expected.fragment_id)


def test_a_merged_render_is_held_to_its_receipt(run, folder, receipt):
    assert run("verify", folder / "render", "--receipt", receipt).exit_code == 0
    body = bytearray((folder / "render").read_bytes())
    body[-1] ^= 1
    (folder / "render").write_bytes(body)
    result = run("verify", folder / "render", "--receipt", receipt)
    assert result.exit_code == 1
    assert "layer 2, values" in result.stderr


def section(layer: int, part: str, digest: str = "0" * 64) -> Any:
    def change(document: Any) -> None:
        merged = document["plan"]["fragments"][0]["id"]
        for entry in document["sections"]:
            if (entry["layer"], entry["fragment"]) == (layer, merged):
                entry[part] = digest

    return change


def test_of_rows_that_are_not_what_the_rule_makes_the_first_is_named(run, folder, receipt):
    path = altered(receipt, section(2, "keys"))
    assert "layer 2, keys" in run("verify", path, "--fragments", folder).stderr
    path = altered(path, section(1, "values"))
    result = run("verify", path, "--fragments", folder)
    assert result.exit_code == 1
    assert "layer 1, values" in result.stderr


def respelled(document: Any) -> None:
    """Spell a parameter otherwise, and name the derivation as that makes it."""
    given = document["derivation"]
    given["parameters"] = {"weight": "0.30"}
    derivation = Derivation.of(
        Operation.MERGE,
        given["method"],
        given["parameters"],
        ClassId.parse(given["class_id"]),
        tuple(map(FragmentId.parse, given["inputs"])),
    )
    given["id"] = str(derivation.derivation_id)


LIES = {
    "derivation, id": lambda d: d["derivation"].update(method="v-only"),
    "derivation, parameters": respelled,
    "sort key": lambda d: d["keys"][0].update(key=1.0, key_hex=(1.0).hex()),
    "layer 0": lambda d: d["base"]["sections"][0].update(keys="0" * 64),
    "expected one, the derived": lambda d: d["plan"]["fragments"].append(
        dict(d["plan"]["fragments"][0], id="2" * 64)
    ),
    "base: expected 3, got 4": lambda d: d["plan"].update(base=4),
}


@pytest.mark.parametrize("claim", LIES)
def test_every_other_claim_is_held_to_the_truth(run, folder, receipt, claim):
    result = run("verify", altered(receipt, LIES[claim]), "--fragments", folder)
    assert result.exit_code == 1, result.output
    assert claim in result.stderr


def renamed(document: Any) -> None:
    """Give the merged fragment another id wherever it stands, and the render its name by that."""
    merged = document["plan"]["fragments"][0]["id"]
    source = merged_here(FORK, RenderQuery(merge="late-only:weight=0.3")).source
    plan = plan_of_derived(source, FragmentId(b"\x11" * 32))
    text = json.dumps(document).replace(merged, "1" * 64)
    text = text.replace(document["plan"]["render_id"], str(plan.render_id))
    document.clear()
    document.update(json.loads(text))


def test_rows_under_another_id_are_not_the_merge(run, folder, receipt):
    result = run("verify", altered(receipt, renamed), "--fragments", folder)
    assert result.exit_code == 1
    assert "merged fragment: expected" in result.stderr


def test_what_cannot_be_merged_or_asked_for_is_said(run, folder, name, receipt):
    out = folder / "other"
    result = run("render", name, "--merge", "weight-search", "-o", out)
    assert result.exit_code == 1
    assert "needs a model" in result.stderr
    result = run("render", name, "--merge", "v-only", "--previous", folder / "render", "-o", out)
    assert result.exit_code == 2
    assert not out.exists()


def test_every_strategy_is_listed_with_what_it_takes(run):
    listed = json.loads(run("strategies", "--json").stdout)
    assert [entry["name"] for entry in listed] == [*STRATEGIES, *SEARCHES]
    for entry in listed[: len(STRATEGIES)]:
        strategy = STRATEGIES[entry["name"]]
        assert entry["parameters"] == strategy.defaults
        assert (entry["family"], entry["rule"]) == (strategy.family, strategy.summary)
        assert (entry["branches"] == "2 or more") == strategy.many
    printed = run("strategies").stdout
    assert all(name in printed for name in (*STRATEGIES, *SEARCHES))
    assert "threshold=0.7" in printed
