"""Receipts on the command line: proven from files, from a server, and a render that reuses one."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.encoding import pack_document
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.receipt import Receipt
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry

GEOMETRY = make_geometry(windows=[6])
HELD = {f.fragment_id: f for f in (make_fragment(i, geometry=GEOMETRY, start=i) for i in (1, 2, 3))}
ORDER = canonical_order((sort_key(f), i) for i, f in HELD.items())
PLAN = place([HELD[i].header for i in ORDER])
RECEIPT = Receipt(PLAN, tuple(sort_key(HELD[i]) for i in ORDER), tuple(run_digests(PLAN, HELD)))


def verify(*args):
    environment = {"LATENTCRDT_SERVER": None, "COLUMNS": "200"}
    return CliRunner().invoke(app, ["verify", *map(str, args)], env=environment)


@pytest.fixture
def folder(tmp_path):
    """The fragments under names of their own, one folder down, amid other files."""
    kept = tmp_path / "fragments" / "deep"
    kept.mkdir(parents=True)
    for n, fragment in enumerate(HELD.values()):
        (kept / f"part-{n}").write_bytes(fragment.to_bytes())
    (kept / "notes.txt").write_text("nothing")
    (kept / "empty").write_bytes(b"")
    (kept / "cut").write_bytes(next(iter(HELD.values())).to_bytes()[:50])
    (kept / "other").write_bytes(make_fragment(77).to_bytes())
    return tmp_path / "fragments"


@pytest.fixture(params=["json", "msgpack"])
def receipt(request, tmp_path):
    document = receipt_document(RECEIPT)
    path = tmp_path / "receipt"
    packed = request.param == "msgpack"
    path.write_bytes(pack_document(document) if packed else json.dumps(document).encode())
    return path


def test_a_receipt_is_proven_from_a_folder_of_fragments(receipt, folder):
    result = verify(receipt, "--fragments", folder)
    assert result.exit_code == 0, result.output
    assert f"equal in all {len(RECEIPT.digests)} sections" in result.stdout
    document = json.loads(verify(receipt, "--fragments", folder, "--json").stdout)
    assert (document["kind"], document["order"]) == ("receipt", "canonical")
    assert document["render_id"] == str(PLAN.render_id)


def test_a_receipt_is_proven_from_a_server(run, server, name, tmp_path):
    paths = []
    for n, fragment in enumerate(HELD.values()):
        paths.append(tmp_path / str(n))
        paths[-1].write_bytes(fragment.to_bytes())
    run("push", name, *paths)
    out, receipt = tmp_path / "out", tmp_path / "receipt.json"
    run("render", name, "-o", out, "--receipt", receipt)
    proven = verify(receipt, "--server", server)
    assert proven.exit_code == 0, proven.output
    assert str(PLAN.render_id) in proven.stdout
    assert verify(out, "--receipt", receipt).exit_code == 0


@pytest.mark.parametrize("part", ["keys", "values"])
def test_the_first_section_that_differs_is_named(folder, tmp_path, part):
    document = receipt_document(RECEIPT)
    for section in document["sections"][4:]:
        section[part] = "0" * 64
    path = tmp_path / "receipt"
    path.write_text(json.dumps(document))
    result = verify(path, "--fragments", folder)
    assert result.exit_code == 1
    expected = RECEIPT.digests[4]
    assert "error [digest_mismatch]" in result.stderr
    assert f"layer {expected.layer}, {part} of fragment {expected.fragment_id}" in result.stderr


def test_a_wrong_field_is_named(folder, tmp_path):
    document = receipt_document(RECEIPT)
    document["plan"]["fragments"][1]["delta"] += 1
    path = tmp_path / "receipt"
    path.write_text(json.dumps(document))
    result = verify(path, "--fragments", folder)
    assert result.exit_code == 1
    assert "plan, fragments 1, delta: expected" in result.stderr


def test_a_fragment_that_is_not_there_is_named(receipt, folder):
    (folder / "deep" / "part-1").unlink()
    result = verify(receipt, "--fragments", folder)
    assert result.exit_code == 1
    assert "error [fragment_not_found]" in result.stderr
    assert str(list(HELD)[1]) in result.stderr


def test_a_damaged_fragment_proves_nothing(receipt, folder):
    path = folder / "deep" / "part-1"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = verify(receipt, "--fragments", folder)
    assert result.exit_code == 1
    assert "layer 2, values" in result.stderr


def test_a_receipt_without_fragments_or_a_server_is_wrong_usage(receipt):
    assert verify(receipt).exit_code == 2


def test_fragments_for_a_render_are_wrong_usage(tmp_path, folder):
    path = tmp_path / "f"
    path.write_bytes(make_fragment(1).to_bytes())
    assert verify(path, "--fragments", folder).exit_code == 2


def test_render_with_an_earlier_one_says_what_it_reused(run, name, tmp_path):
    out, again = tmp_path / "before", tmp_path / "after"
    for n, fragment in enumerate(HELD.values()):
        (tmp_path / str(n)).write_bytes(fragment.to_bytes())
    run("push", name, tmp_path / "0", tmp_path / "1")
    assert run("render", name, "-o", out, "--layout", "parallel").exit_code == 0
    run("push", name, tmp_path / "2")
    options = ["--layout", "parallel", "--where", "client", "--previous", out]
    result = run("render", name, "-o", again, *options, "--json")
    assert result.exit_code == 0, result.output
    reuse = json.loads(result.stdout)["reuse"]
    reused = {e["id"] for e in reuse["fragments"] if e["keys_reused"] == e["layers"] > 0}
    assert reused == {str(i) for i in list(HELD)[:2]}
    run("render", name, "-o", out, "--layout", "parallel")
    assert again.read_bytes() == out.read_bytes()
    told = run("render", name, "-o", again, *options).stdout
    assert f"of it from {out}" in told


def test_an_earlier_render_is_of_no_use_to_the_server(run, name, tmp_path):
    (tmp_path / "x").write_bytes(b"")
    options = ["-o", tmp_path / "out", "--previous", tmp_path / "x", "--where", "server"]
    assert run("render", name, *options).exit_code == 2
