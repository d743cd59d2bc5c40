from __future__ import annotations

import struct

import blake3
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec, RopeDescriptor, RopeStyle
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import (
    DigestMismatchError,
    InvalidInputError,
    MalformedError,
    NotCanonicalError,
    TruncatedError,
    UnsupportedDtypeError,
    UnsupportedVersionError,
)
from latentcrdt.testing.fragments import make_fragment, make_geometry, make_rope

PREFIX = FragmentId(bytes(range(32)))


def fragment() -> Fragment:
    return make_fragment(1, geometry=make_geometry(windows=(4,)), start=7, prefix=PREFIX)


def fields_of(header: FragmentHeader) -> list:
    return msgpack.unpackb(header.encoded)


def test_the_id_is_blake3_of_the_header_bytes():
    f = fragment()
    assert f.fragment_id == blake3.blake3(f.header.encoded).digest()


def test_every_section_digest_is_blake3_of_its_bytes():
    f = fragment()
    for layer, pair in enumerate(f.header.digests):
        assert pair.keys == blake3.blake3(f.keys(layer)).digest()
        assert pair.values == blake3.blake3(f.values(layer)).digest()


def test_decode_gives_back_the_header():
    header = fragment().header
    assert FragmentHeader.decode(header.encoded) == header


def test_token_ids_and_latent_inputs_survive_the_round_trip():
    f = make_fragment(seq_len=3)
    layers = [(f.keys(i), f.values(i)) for i in range(3)]
    rows = bytes(range(16)) * 2
    latent = Fragment.build(
        f.header.geometry,
        layers,
        start=0,
        seq_len=3,
        token_ids=[5, -1, -1],
        latent_inputs=(8, rows),
    )
    again = Fragment.from_buffer(latent.to_bytes())
    assert again.header == latent.header
    assert again.header.token_ids == (5, -1, -1)
    assert bytes(again.section(again.header.sections[-1])) == rows


@pytest.mark.parametrize(
    "change",
    [
        {"start": 8},
        {"prefix": FragmentId(bytes(32))},
        {"prefix": None},
        {"token_bytes": struct.pack("<5i", 1, 2, 3, 4, 5)},
        {"geometry": make_geometry(windows=(4,), model_id="other@0")},
    ],
)
def test_any_change_of_content_changes_the_id(change):
    header = fragment().header
    changed = {
        "geometry": header.geometry,
        "start": header.start,
        "seq_len": header.seq_len,
        "digests": header.digests,
        "prefix": header.prefix,
    } | change
    assert FragmentHeader(**changed).fragment_id != header.fragment_id


# Positions in the encoded array.
MODEL, DTYPE, ROPES, LAYERS, START, SEQ, PREFIX_ID, TOKENS, LATENT, DIGESTS = range(2, 12)


def corrupt(position, value):
    fields = fields_of(fragment().header)
    fields[position] = value(fields[position]) if callable(value) else value
    return msgpack.packb(fields)


@pytest.mark.parametrize(
    ("position", "value", "error"),
    [
        (0, "latentcrdt.plan", MalformedError),
        (1, 2, UnsupportedVersionError),
        (MODEL, "", MalformedError),
        (MODEL, "a\nb", MalformedError),
        (MODEL, "é" * 200, MalformedError),
        (DTYPE, "f64", UnsupportedDtypeError),
        (DTYPE, 7, MalformedError),
        (ROPES, [], MalformedError),
        (ROPES, lambda r: r * 2, MalformedError),
        (ROPES, [["half", 8, struct.pack("<4f", 1, 1, 1, -0.0)]], MalformedError),
        (ROPES, [["half", 8, struct.pack("<4f", 1, 1, 1, float("nan"))]], MalformedError),
        (ROPES, [["half", 8, b"123"]], MalformedError),
        (ROPES, [["half", 7, bytes(14)]], MalformedError),
        (ROPES, [["half", 10, bytes(20)]], MalformedError),
        (ROPES, [["whole", 8, bytes(16)]], MalformedError),
        (LAYERS, [], MalformedError),
        (LAYERS, lambda v: [["sliding", None, *v[0][2:]], *v[1:]], MalformedError),
        (LAYERS, lambda v: [["full", 4, *v[0][2:]], *v[1:]], MalformedError),
        (LAYERS, lambda v: [[*v[0][:5], 3, v[0][6]], *v[1:]], MalformedError),
        (LAYERS, lambda v: [[*v[0][:6], 5], *v[1:]], NotCanonicalError),
        (LAYERS, lambda v: [v[0][:5], *v[1:]], MalformedError),
        (START, -1, MalformedError),
        (START, 2**31 - 3, MalformedError),
        (START, 1.0, MalformedError),
        (START, True, MalformedError),
        (SEQ, 0, MalformedError),
        (SEQ, 2**31, MalformedError),
        (PREFIX_ID, b"short", MalformedError),
        (TOKENS, bytes(4 * 4), MalformedError),
        (TOKENS, struct.pack("<5i", 0, 0, 0, 0, -2), MalformedError),
        (LATENT, [8, bytes(32)], MalformedError),
        (DIGESTS, [], MalformedError),
        (DIGESTS, lambda v: v[:2], MalformedError),
        (DIGESTS, lambda v: [[d[0][:31], d[1]] for d in v], MalformedError),
    ],
)
def test_a_wrong_field_is_refused(position, value, error):
    with pytest.raises(error):
        FragmentHeader.decode(corrupt(position, value))


def second_spellings():
    """The same meaning in other msgpack bytes: what hashing must never see."""
    header = fragment().header
    packed = header.encoded
    yield "int in a wider form", packed.replace(b"\x01", b"\xcc\x01", 1)
    yield "array in a wider form", b"\xdc\x00" + bytes([packed[0] & 0x0F]) + packed[1:]
    fields = fields_of(header)
    yield "bytes in a wider form", packed.replace(b"\xc4\x20", b"\xc5\x00\x20", 1)
    fields[MODEL] = fields[MODEL].encode()
    yield "text as bytes", msgpack.packb(fields)


@pytest.mark.parametrize(("name", "data"), list(second_spellings()))
def test_a_second_spelling_is_refused(name, data):
    assert data != fragment().header.encoded
    with pytest.raises((NotCanonicalError, MalformedError)):
        FragmentHeader.decode(data)


@pytest.mark.parametrize("name", ["int in a wider form", "array in a wider form"])
def test_a_second_spelling_is_named_not_canonical(name):
    with pytest.raises(NotCanonicalError):
        FragmentHeader.decode(dict(second_spellings())[name])


@given(st.data())
@settings(max_examples=300)
def test_no_mutation_of_a_file_passes_under_its_id_or_crashes(data):
    whole = bytearray(fragment().to_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = Fragment.from_buffer(bytes(whole))
    except InvalidInputError:
        return
    # A changed letter of the model's name, say: a valid fragment, but another one.
    assert changed.fragment_id != fragment().fragment_id


@given(st.integers(0, 2000))
def test_no_truncation_of_a_file_passes(length):
    whole = fragment().to_bytes()
    with pytest.raises(InvalidInputError):
        Fragment.from_buffer(whole[: min(length, len(whole) - 1)])


def test_bytes_after_the_last_section_are_refused():
    with pytest.raises(TruncatedError):
        Fragment.from_buffer(fragment().to_bytes() + b"\x00")


def test_a_flipped_bit_names_the_section():
    whole = bytearray(fragment().to_bytes())
    whole[-1] ^= 1
    with pytest.raises(DigestMismatchError) as caught:
        Fragment.from_buffer(bytes(whole))
    assert caught.value.details["layer"] == 2
    assert caught.value.details["part"] == "values"


def test_a_body_of_the_wrong_length_is_not_built():
    geometry = make_geometry(num_layers=1)
    with pytest.raises(TruncatedError):
        Fragment.build(geometry, [(b"123", b"456")], start=0, seq_len=5)


def test_an_unused_or_misordered_rope_descriptor_is_refused():
    a, b = make_rope(8), make_rope(8, theta=5.0)
    with pytest.raises(MalformedError):
        Geometry("m", Dtype.F32, (a, b), (LayerSpec(1, 8, 8, 0),))
    with pytest.raises(MalformedError):
        Geometry("m", Dtype.F32, (a, b), (LayerSpec(1, 8, 8, 1), LayerSpec(1, 8, 8, 0)))


def test_the_key_layer_is_the_middle_full_layer():
    def layers(*windows):
        return tuple(LayerSpec(1, 8, 8, 0, w) for w in windows)

    rope = RopeDescriptor(RopeStyle.HALF, 8, bytes(16))
    assert Geometry("m", Dtype.F32, (rope,), layers(None, None, None, None)).key_layer == 2
    assert Geometry("m", Dtype.F32, (rope,), layers(None, 4, 4, None, None)).key_layer == 3
    assert Geometry("m", Dtype.F32, (rope,), layers(4, 4, 4)).key_layer == 1
