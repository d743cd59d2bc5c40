"""docs/format.md, read by a second implementation that was written from the page alone."""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path

import blake3
import msgpack
import pytest

from latentcrdt.core.documents import receipt_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.state import LatentState
from latentcrdt.render.proof import prove
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def example(name):
    block = re.search(rf"```hex {name}\n(.*?)```", PAGE, re.DOTALL).group(1)
    lines = [line[5:53] for line in block.splitlines()]
    return bytes.fromhex("".join(lines))


def values(heading):
    """The hexadecimal and float values of the tables, by their row's name, after a heading."""
    section = PAGE.split(f"```hex {heading}")[1].split("```hex")[0]
    return dict(re.findall(r"^\| ([^|]+?) \| `?([^`|]+?)`? ", section, re.MULTILINE))


def h(data):
    return blake3.blake3(data).hexdigest()


def split(data, magic):
    assert data[:8] == magic
    (length,) = struct.unpack("<Q", data[8:16])
    body = -(-(16 + length) // 64) * 64
    assert not any(data[16 + length : body])
    return data[16 : 16 + length], data[body:]


def bf16(data):
    return [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, len(data), 2)]


def to_bf16(value):
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


@pytest.mark.parametrize("name", ["fragment-a", "fragment-b"])
def test_a_fragment_is_what_the_page_says(name):
    header, body = split(example(name), b"LCRDT-F1")
    fields = msgpack.unpackb(header)
    assert fields[:2] == ["latentcrdt.fragment", 1]
    ((kind, window, heads, key_dim, value_dim, rope, rows),) = fields[5]
    assert (kind, window, rope) == ("full", None, 0)
    keys, rest = body[: heads * rows * key_dim * 2], body[heads * rows * key_dim * 2 :]
    assert len(rest) == heads * rows * value_dim * 2
    assert fields[11] == [[blake3.blake3(keys).digest(), blake3.blake3(rest).digest()]]
    table = values(name)
    assert h(header) == table["fragment id"]
    norms = [math.sqrt(a * a + b * b) for a, b in zip(*[iter(bf16(keys))] * 2, strict=True)]
    assert repr(sum(norms) / len(norms)) == table["sort key"].split(" ")[0]
    if name == "fragment-a":
        assert (h(keys), h(rest)) == (table["BLAKE3 of K"], table["BLAKE3 of V"])
        assert struct.unpack("<2i", fields[9]) == (10, 11)


def test_the_root_is_what_the_page_says():
    ids = sorted(
        blake3.blake3(split(example(n), b"LCRDT-F1")[0]).digest()
        for n in ("fragment-a", "fragment-b")
    )
    assert h(b"".join(ids)) in PAGE


def test_the_render_is_what_the_page_says():
    data = example("render")
    header, body = split(data, b"LCRDT-R1")
    fields = msgpack.unpackb(header)
    kind, version, model_id, dtype, ropes, layers, layout, prefixes, placements, carried = fields
    assert (kind, version, prefixes, carried) == ("latentcrdt.plan", 1, [], [0, 1])
    class_id = blake3.blake3(
        msgpack.packb(["latentcrdt.class", 1, model_id, dtype, ropes, layers, None])
    ).digest()
    deltas = [[i, new - start] for i, start, _, new in placements]
    render_id = h(msgpack.packb(["latentcrdt.render", 1, class_id, layout, 0, deltas]))
    table = values("render")
    assert class_id.hex() == table["class id"]
    assert render_id == table["render id"]
    assert h(data) == table["BLAKE3 of the stream"]

    c, s = float.fromhex("0x1.14a2p-1"), float.fromhex("0x1.aed6p-1")
    assert abs(c - math.cos(1)) < 2**-17
    assert abs(s - math.sin(1)) < 2**-17
    expected = bytes(split(example("fragment-b"), b"LCRDT-F1")[1][:4])
    for a, b in ((1.0, 2.0), (0.5, -1.0)):
        expected += to_bf16(a * c - b * s) + to_bf16(b * c + a * s)
    expected += split(example("fragment-b"), b"LCRDT-F1")[1][4:]
    expected += split(example("fragment-a"), b"LCRDT-F1")[1][8:]
    assert body == expected


def receipt():
    return json.loads(re.search(r"```json receipt\n(.*?)```", PAGE, re.DOTALL).group(1))


def test_the_receipt_is_what_the_page_says():
    document, data = receipt(), example("render")
    _, body = split(data, b"LCRDT-R1")
    plan, table = document["plan"], values("render")
    assert (plan["render_id"], plan["class_id"]) == (table["render id"], table["class id"])
    assert plan["stream_bytes"] == len(data)
    # One head, so a run's rows lie together: B's key, A's two, B's value, A's two.
    rows = [(body[:4], body[12:16]), (body[4:12], body[16:24])]
    for section, (keys, rest) in zip(document["sections"], rows, strict=True):
        assert (section["keys"], section["values"]) == (h(keys), h(rest))
    for entry, name in zip(document["keys"], ("fragment-b", "fragment-a"), strict=True):
        assert entry["id"] == values(name)["fragment id"]
        assert repr(entry["key"]) == values(name)["sort key"].split(" ")[0]
        assert float.fromhex(entry["key_hex"]) == entry["key"]


def test_the_package_proves_the_receipt_of_the_page():
    fragments = [Fragment.from_buffer(example(n)) for n in ("fragment-a", "fragment-b")]
    proven = prove(receipt(), {f.fragment_id: f for f in fragments})
    assert receipt_document(proven) == receipt()


def test_the_package_makes_the_bytes_of_the_page():
    a, b = (Fragment.from_buffer(example(n)) for n in ("fragment-a", "fragment-b"))
    assert a.to_bytes() == example("fragment-a")
    fragments = {f.fragment_id: f for f in (a, b)}
    order = canonical_order((sort_key(f), i) for i, f in fragments.items())
    plan = place([fragments[i].header for i in order])
    assert render(plan, fragments).to_bytes() == example("render")
    assert str(LatentState(fragments).root) in PAGE
