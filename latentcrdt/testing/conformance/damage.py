"""Bytes that are not a fragment are refused by name, and nothing of them stays."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype
from latentcrdt.core.header import KIND
from latentcrdt.core.ids import FragmentId
from latentcrdt.testing.conformance import forgeries
from latentcrdt.testing.conformance.answer import Answer
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.examples import for_all
from latentcrdt.testing.conformance.server import Server

damage = Group("damage")

CONTAINER = "docs/format.md section 2"
ENCODING = "docs/format.md section 1"
HEADER = "docs/format.md section 4"
PUSH = "OpenAPI: POST /v1/states/{state}/fragments"

DAMAGED_STATUSES = (400, 413, 422)
"""What a damaged header may be taken for, depending on where it is damaged."""


@dataclass(frozen=True, slots=True)
class At:
    """A place in a fragment file."""

    index: int
    of: int
    unit: str

    def __str__(self) -> str:
        return f"{self.unit} {self.index} of {self.of}"


@damage.check(CONTAINER)
def cut_short(server: Server) -> None:
    """A file that ends early, anywhere, is truncated."""
    fragment = server.fresh()
    data = fragment.to_bytes()

    def test(cut: At) -> None:
        _refused(server, data[: cut.index], fragment.fragment_id).problem(400, "truncated")

    for_all(_places(len(data), "bytes"), test, max_examples=25)
    for index in (0, 1, 15, 16, 17, len(fragment.framing), len(data) - 1):
        test(At(index, len(data), "bytes"))


@damage.check(CONTAINER)
def too_long(server: Server) -> None:
    """A file that goes on after its last section is truncated, too."""
    fragment = server.fresh()
    for more in (b"\0", b"x" * 64):
        answer = _refused(server, fragment.to_bytes() + more, fragment.fragment_id)
        answer.problem(400, "truncated")


@damage.check(HEADER)
def flipped_bits(server: Server) -> None:
    """A body that differs in any bit from what its header's digests name is a mismatch."""
    fragment = server.fresh()
    data = fragment.to_bytes()
    first = 8 * len(fragment.framing)

    def test(bit: At) -> None:
        damaged = forgeries.with_flipped_bit(data, first + bit.index)
        _refused(server, damaged, fragment.fragment_id).problem(422, "digest_mismatch")

    num_bits = 8 * len(data) - first
    for_all(_places(num_bits, "bit of the body,"), test, max_examples=25)
    for index in (0, num_bits - 1):
        test(At(index, num_bits, "bit of the body,"))


@damage.check(HEADER)
def declared_id(server: Server) -> None:
    """A push that declares its id is refused if any bit of the file differs from that fragment."""
    fragment = server.fresh()
    data, declared = fragment.to_bytes(), str(fragment.fragment_id)

    def test(bit: At) -> None:
        damaged = forgeries.with_flipped_bit(data, bit.index)
        answer = _refused(server, damaged, fragment.fragment_id, fragment_id=declared)
        answer.expect(*DAMAGED_STATUSES)

    for_all(_places(8 * len(data), "bit"), test, max_examples=25)
    other = server.fresh()
    answer = _refused(server, other.to_bytes(), fragment.fragment_id, fragment_id=declared)
    answer.problem(422, "digest_mismatch")


@damage.check(ENCODING)
def second_spellings(server: Server) -> None:
    """The right meaning in other bytes than the one spelling is not canonical."""
    fragment = server.fresh()
    for forge in (forgeries.with_long_integer, forgeries.with_padding):
        _refused(server, forge(fragment), fragment.fragment_id).problem(422, "not_canonical")


@damage.check(HEADER)
def malformed_headers(server: Server) -> None:
    """What is no fragment, or breaks a bound of its header, is malformed."""
    fragment = server.fresh()
    wrong = {
        "another magic": b"LCRDT-R1" + fragment.to_bytes()[8:],
        "an archive": b"PK\x03\x04" * 100,
        "a header that is no msgpack": forgeries.with_header_length(48)[:16] + b"\xc1" * 48,
        "another kind": forgeries.with_kind(fragment, "latentcrdt.plan", 1),
        "a negative start": forgeries.with_field(fragment, "start", -1),
        "a start that is text": forgeries.with_field(fragment, "start", "0"),
        "no tokens": forgeries.with_field(fragment, "seq_len", 0),
        "positions past 2^31": forgeries.with_field(fragment, "start", 2**31 - 1),
        "a model id with a line break": forgeries.with_field(fragment, "model_id", "a\n"),
        "a prefix that is no digest": forgeries.with_field(fragment, "prefix", b"short"),
        "too few token ids": forgeries.with_field(fragment, "token_ids", bytes(4)),
        "no layers": forgeries.with_field(fragment, "layers", []),
    }
    for name, data in wrong.items():
        try:
            _refused(server, data, fragment.fragment_id).problem(400, "malformed")
        except AssertionError as error:
            error.add_note(f"counterexample: {name}")
            raise


@damage.check(HEADER)
def unsupported(server: Server) -> None:
    """A dtype or a version that format 1 does not know is refused by its own code."""
    fragment = server.fresh()
    for data, code in (
        (forgeries.with_field(fragment, "dtype", "fp8"), "unsupported_dtype"),
        (forgeries.with_kind(fragment, KIND, 2), "unsupported_version"),
    ):
        _refused(server, data, fragment.fragment_id).problem(400, code)


@damage.check(HEADER)
def non_finite_keys(server: Server) -> None:
    """Keys that are no numbers, infinite, or above 2^15 in f16, are refused."""
    for dtype, bits in (
        (Dtype.F32, 0x7FC00000),  # NaN
        (Dtype.F32, 0xFF800000),  # minus infinity
        (Dtype.BF16, 0x7F80),  # infinity
        (Dtype.BF16, 0xFFC0),  # NaN
        (Dtype.F16, 0x7C00),  # infinity
        (Dtype.F16, 0x7801),  # just above 2^15
    ):
        wrong = forgeries.with_first_key(server.fresh(num_layers=1, dtype=dtype), bits)
        try:
            _refused(server, wrong.to_bytes(), wrong.fragment_id).problem(422, "non_finite_keys")
        except AssertionError as error:
            error.add_note(f"counterexample: {dtype} with the bits {bits:#x} in K")
            raise


@damage.check(PUSH)
def media_types(server: Server) -> None:
    """A push that does not say that it is a plain fragment file is refused."""
    fragment = server.fresh()
    for headers in (
        {"content_type": "text/plain"},
        {"content_type": "application/json"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_encoding": "gzip"},
    ):
        answer = _refused(server, fragment.to_bytes(), fragment.fragment_id, **headers)
        answer.problem(415, "unsupported_media_type")
    for content_type in ("application/vnd.latentcrdt.fragment", "application/octet-stream"):
        server.push(server.fresh_state(), fragment, content_type=content_type).expect(201)


def _refused(server: Server, data: bytes, meant: FragmentId, **headers: str) -> Answer:
    """Push what has to be refused; return the answer, once nothing was found to stay of it."""
    state = server.fresh_state()
    answer = server.push(state, data, **headers)
    if answer.status < 400:
        raise AssertionError(f"{answer.asked}: expected a refusal, got status {answer.status}")
    server.get(f"/v1/states/{state}").problem(404, "state_not_found")
    server.get(f"/v1/fragments/{meant}").problem(404, "fragment_not_found")
    if server.is_held(meant):
        raise AssertionError(
            f"{answer.asked}: expected nothing to stay of what was refused, but "
            f"POST /v1/fragments/missing says that {meant} is held"
        )
    return answer


@st.composite
def _places(draw: st.DrawFn, count: int, unit: str) -> At:
    return At(draw(st.integers(0, count - 1)), count, unit)
