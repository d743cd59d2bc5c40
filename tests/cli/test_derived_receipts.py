"""Receipts of derived renders on the command line: the base is proven, the derivation is named."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import Derived, companion_of
from latentcrdt.core.derived_receipt import derived_receipt_document
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.receipt import Receipt
from latentcrdt.render.derived import receipt_of
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment

HELD = {f.fragment_id: f for f in (make_fragment(i, start=i) for i in (1, 2, 3))}
ORDER = canonical_order((sort_key(f), i) for i, f in HELD.items())
PLAN = place([HELD[i].header for i in ORDER])
RECEIPT = Receipt(PLAN, tuple(sort_key(HELD[i]) for i in ORDER), tuple(run_digests(PLAN, HELD)))
DERIVATION = Derivation.of(Operation.REPAIR, "legolink", {"rows": 16}, PLAN.class_id, tuple(ORDER))
FRAGMENT = make_fragment(7, start=0, seq_len=PLAN.next_position)
DERIVED = FRAGMENT.fragment_id
MADE = Derived(PLAN, DERIVATION, render(place([FRAGMENT.header]), {DERIVED: FRAGMENT}))


@pytest.fixture
def folder(tmp_path):
    for n, fragment in enumerate(HELD.values()):
        (tmp_path / f"part-{n}").write_bytes(fragment.to_bytes())
    return tmp_path


def verified(folder, document, *options):
    path = folder / "receipt.json"
    path.write_text(json.dumps(document))
    environment = {"LATENTCRDT_SERVER": None, "COLUMNS": "200"}
    arguments = ["verify", str(path), "--fragments", str(folder), *options]
    return CliRunner().invoke(app, arguments, env=environment)


def document():
    return json.loads(json.dumps(derived_receipt_document(receipt_of(MADE, RECEIPT))))


def test_the_base_is_proven_and_the_rest_is_said_to_need_the_model(folder):
    result = verified(folder, document())
    assert result.exit_code == 0, result.output
    assert f"equal in all {len(RECEIPT.digests)} sections" in result.stdout
    assert f"derived fragment {DERIVED}" in result.stdout
    assert "(repair legolink)" in result.stdout
    assert "needs the model to verify" in result.stdout


def test_as_json_it_names_derivation_state_and_fragment(folder):
    told = json.loads(verified(folder, document(), "--json").stdout)
    assert told["derived"] == str(DERIVED)
    assert told["derivation"] == {
        "id": str(DERIVATION.derivation_id),
        "operation": "repair",
        "method": "legolink",
        "parameters": {"rows": "16"},
        "class_id": str(PLAN.class_id),
        "inputs": [str(i) for i in ORDER],
        "state": str(companion_of(DERIVATION)),
    }


LIES = {
    "id": "0" * 64,
    "class_id": "0" * 64,
    "inputs": [str(i) for i in ORDER[::-1]],
    "state": "repair.0",
}


@pytest.mark.parametrize("name", LIES)
def test_a_derivation_of_anything_else_is_refused_by_the_claim(folder, name):
    changed = document()
    changed["derivation"][name] = LIES[name]
    result = verified(folder, changed)
    assert result.exit_code != 0
    assert f"derivation, {name}" in result.output


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("base"),
        lambda d: d.pop("derivation"),
        lambda d: d.update(base="xyz"),
        lambda d: d["plan"]["fragments"].clear(),
        lambda d: d["plan"].update(layers=[0, 99]),
        lambda d: d.update(derivation=None),
        lambda d: d["derivation"].update(operation="guess"),
        lambda d: d["derivation"].update(method="LegoLink"),
        lambda d: d["derivation"].update(parameters=[1]),
        lambda d: d["derivation"].update(more=1),
        lambda d: d["derivation"].pop("state"),
    ],
)
def test_another_shape_is_refused(folder, change):
    changed = document()
    change(changed)
    result = verified(folder, changed)
    assert result.exit_code != 0
    assert "malformed" in result.output.lower() or "expected" in result.output


def test_parameters_are_part_of_the_id(folder):
    changed = document()
    changed["derivation"]["parameters"] = {"rows": "17"}
    result = verified(folder, changed)
    assert result.exit_code != 0
    assert "derivation, id" in result.output


def test_a_lie_in_the_base_is_found_first(folder):
    changed = document()
    changed["base"]["sections"][0]["keys"] = "0" * 64
    result = verified(folder, changed)
    assert result.exit_code != 0
    assert "layer 0" in result.output
