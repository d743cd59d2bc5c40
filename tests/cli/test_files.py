"""verify and export: no server needed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange
from latentcrdt.core.receipt import Receipt
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def make_render(dtype=Dtype.BF16, **options):
    geometry = make_geometry(dtype=dtype, windows=[6])
    held = {f.fragment_id: f for f in (make_fragment(i, geometry=geometry) for i in (1, 2))}
    plan = place([f.header for f in held.values()], **options)
    keys = tuple(map(sort_key, held.values()))
    return render(plan, held), Receipt(plan, keys, tuple(run_digests(plan, held)))


@pytest.fixture
def render_files(tmp_path):
    rendered, receipt = make_render()
    (tmp_path / "render").write_bytes(rendered.to_bytes())
    (tmp_path / "receipt").write_text(json.dumps(receipt_document(receipt)))
    return tmp_path / "render", tmp_path / "receipt"


def test_a_good_fragment_verifies(tmp_path):
    fragment = make_fragment(1)
    (tmp_path / "f").write_bytes(fragment.to_bytes())
    assert run("verify", tmp_path / "f").exit_code == 0
    document = json.loads(run("verify", tmp_path / "f", "--json").stdout)
    assert (document["kind"], document["id"]) == ("fragment", str(fragment.fragment_id))
    assert float.fromhex(document["key_hex"]) == sort_key(fragment)


def test_a_flipped_bit_is_named_by_layer_and_part(tmp_path):
    fragment = make_fragment(1)
    data = bytearray(fragment.to_bytes())
    section = fragment.header.values_section(1)
    data[len(fragment.framing) + section.offset] ^= 1
    (tmp_path / "f").write_bytes(data)
    result = run("verify", tmp_path / "f")
    assert result.exit_code == 1
    assert "error [digest_mismatch]" in result.stderr
    assert "layer 1, values" in result.stderr


def test_keys_that_are_not_finite_are_named(tmp_path):
    good = make_fragment(3)
    sections = [(bytearray(good.keys(i)), good.values(i)) for i in range(3)]
    sections[2][0][:2] = b"\xc0\x7f"  # a bf16 NaN
    bad = Fragment.build(good.header.geometry, sections, start=0, seq_len=5)
    (tmp_path / "f").write_bytes(bad.to_bytes())
    result = run("verify", tmp_path / "f")
    assert result.exit_code == 1
    assert "error [non_finite_keys]" in result.stderr


def test_a_render_verifies_alone_and_against_its_receipt(render_files):
    file, receipt = render_files
    alone, checked = run("verify", file), run("verify", file, "--receipt", receipt)
    assert (alone.exit_code, checked.exit_code) == (0, 0)
    assert "every digest" not in alone.stdout
    assert "every digest" in checked.stdout


def test_the_first_differing_section_of_a_render_is_named(render_files):
    file, receipt = render_files
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert run("verify", file).exit_code == 0
    result = run("verify", file, "--receipt", receipt)
    assert result.exit_code == 1
    assert "error [digest_mismatch]" in result.stderr
    assert "layer 2, values" in result.stderr


@pytest.mark.parametrize("content", [b"", b"short", b"not any container at all", b"LCRDT-F1"])
def test_a_file_that_is_neither_is_refused(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    result = run("verify", tmp_path / "f")
    assert result.exit_code == 1
    assert result.stderr.startswith("error [")


@pytest.mark.parametrize("content", ["", "{}", "[]", "no json"])
def test_a_receipt_that_is_none_is_refused(render_files, content):
    file, receipt = render_files
    receipt.write_text(content)
    result = run("verify", file, "--receipt", receipt)
    assert result.exit_code == 1
    assert "error [malformed]" in result.stderr


def test_a_receipt_for_a_fragment_is_wrong_usage(tmp_path):
    (tmp_path / "f").write_bytes(make_fragment(1).to_bytes())
    assert run("verify", tmp_path / "f", "--receipt", tmp_path / "f").exit_code == 2


def as_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", list(Dtype))
def test_a_fragment_is_exported_as_safetensors_reads_it(tmp_path, dtype):
    geometry = make_geometry(dtype=dtype, windows=[4])
    tokens = [5, 6, -1, -1, 9]
    embeddings = np.arange(12, dtype="<f4").tobytes()[: 2 * 6 * dtype.itemsize]
    source = make_fragment(1, geometry=geometry)
    sections = [(source.keys(i), source.values(i)) for i in range(3)]
    fragment = Fragment.build(
        geometry, sections, start=3, seq_len=5, token_ids=tokens, latent_inputs=(6, embeddings)
    )
    (tmp_path / "f").write_bytes(fragment.to_bytes())
    result = run("export", tmp_path / "f", "-o", tmp_path / "out.safetensors", "--json")
    assert len(json.loads(result.stdout)["tensors"]) == 7
    expected = {Dtype.BF16: torch.bfloat16, Dtype.F16: torch.float16, Dtype.F32: torch.float32}
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata()["fragment_id"] == str(fragment.fragment_id)
        assert file.metadata()["token_ids"] == "5,6,-1,-1,9"
        for i, rows in enumerate((3, 5, 5)):
            keys = file.get_tensor(f"layers.{i}.keys")
            assert keys.dtype == expected[dtype]
            assert keys.shape == (2, rows, 8)
            assert as_bytes(keys) == bytes(fragment.keys(i))
            assert as_bytes(file.get_tensor(f"layers.{i}.values")) == bytes(fragment.values(i))
        latent = file.get_tensor("latent_inputs")
        assert latent.shape == (2, 6)
        assert as_bytes(latent) == embeddings


def test_a_render_of_some_layers_is_exported_under_their_own_numbers(tmp_path):
    rendered, _ = make_render(layers=LayerRange(1, 3))
    (tmp_path / "r").write_bytes(rendered.to_bytes())
    assert run("export", tmp_path / "r", "-o", tmp_path / "out").exit_code == 0
    with safe_open(tmp_path / "out", "pt") as file:
        names = {f"layers.{i}.{part}" for i in (1, 2) for part in ("keys", "values")}
        assert set(file.keys()) == names
        assert file.metadata()["render_id"] == str(rendered.plan.render_id)
        keys = file.get_tensor("layers.2.keys")
        assert keys.shape == (2, 10, 8)
        assert as_bytes(keys) == bytes(rendered.keys(2))


def test_a_damaged_fragment_is_not_exported(tmp_path):
    data = bytearray(make_fragment(1).to_bytes())
    data[-1] ^= 1
    (tmp_path / "f").write_bytes(data)
    result = run("export", tmp_path / "f", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()
