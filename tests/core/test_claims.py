"""Receipts that others wrote: every claim is held to what it must be, whatever the document is."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latentcrdt.core.claims import ClaimedPlan, check_sort_keys, parse_document, read_receipt
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.encoding import pack_document
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import (
    DigestMismatchError,
    IncompatibleFragmentsError,
    InvalidInputError,
    InvalidRequestError,
    LatentCRDTError,
    MalformedError,
    NothingToRenderError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import run_digests
from latentcrdt.testing.fragments import make_fragment

PREFIX = make_fragment(9, seq_len=2)
PAIR = sorted(
    (make_fragment(i, start=2, seq_len=3 + i, prefix=PREFIX.fragment_id) for i in (1, 2)),
    key=sort_key,
)
HELD = {f.fragment_id: f for f in (PREFIX, *PAIR)}
HEADERS = {i: f.header for i, f in HELD.items()}
KEYS = tuple(map(sort_key, PAIR))


def receipt_of(ordered=PAIR, **options):
    plan = place([f.header for f in ordered], [PREFIX.header], **options)
    return Receipt(plan, tuple(map(sort_key, ordered)), tuple(run_digests(plan, HELD)))


RECEIPT = receipt_of(layout=Layout.SLOTTED, stride=9, layers=LayerRange(0, 2))
DOCUMENT = json.loads(json.dumps(receipt_document(RECEIPT)))


def read(document):
    """Everything that is done with a document before fragments' bodies are looked at."""
    return read_receipt(document, ClaimedPlan.of(document).place(HEADERS))


def leaves(value, path=()):
    """The paths to everything in a document that is no object and no array."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for name, child in children:
        if isinstance(child, dict | list):
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name)


def replaced(path, change):
    document = copy.deepcopy(DOCUMENT)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = change(inner[path[-1]])
    return document


def other(value):
    """Another value of the same kind."""
    if isinstance(value, str) and len(value) == 64:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if isinstance(value, str) and value.startswith("0x"):
        return (float.fromhex(value) * 2).hex()
    return "other" if isinstance(value, str) else 1 if value is None else value + 1


@pytest.mark.parametrize("ordered", [PAIR, PAIR[::-1], PAIR[:1]], ids=["canonical", "bag", "one"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layout": Layout.PARALLEL},
        {"layout": Layout.SLOTTED, "stride": 40},
        {"layers": LayerRange(1, 3)},
    ],
    ids=["sequential", "parallel", "slotted", "layers"],
)
def test_a_receipt_is_read_back_from_json_and_msgpack_without_its_plan(ordered, options):
    receipt = receipt_of(ordered, **options)
    document = receipt_document(receipt)
    assert document["order"] == ("bag" if ordered == PAIR[::-1] else "canonical")
    for data in (json.dumps(document, indent=1).encode(), pack_document(document)):
        assert read(parse_document(data)) == receipt


UNPROVEN = ("keys", "values")  # of a section: only its bytes can tell


@pytest.mark.parametrize(
    "path",
    [p for p in leaves(DOCUMENT) if p[0] != "sections" or p[-1] not in UNPROVEN],
    ids=lambda p: "-".join(map(str, p)),
)
def test_every_claim_that_is_changed_is_noticed_without_rendering(path):
    document = replaced(path, other)
    with pytest.raises(LatentCRDTError) as caught:
        check_sort_keys(read(document), KEYS)
    if isinstance(caught.value, DigestMismatchError):
        names = [str(name) for name in path if not isinstance(name, int)]
        told = str(caught.value)
        # A wrong key is seen first in the order that it would give.
        assert any(name.rstrip("s") in told for name in (*names, "order")), told


def test_a_claim_is_named_with_what_it_should_be():
    with pytest.raises(DigestMismatchError) as caught:
        read(replaced(("plan", "next_position"), other))
    expected = RECEIPT.plan.next_position
    assert str(caught.value) == f"plan, next_position: expected {expected}, got {expected + 1}"
    assert caught.value.details["claim"] == "plan, next_position"
    with pytest.raises(DigestMismatchError, match="receipt, order: expected 'canonical', got 'b"):
        read(replaced(("order",), lambda _: "bag"))


def test_a_wrong_sort_key_is_named_by_its_fragment():
    wrong = receipt_document(Receipt(RECEIPT.plan, (KEYS[0] / 2, KEYS[1]), RECEIPT.digests))
    with pytest.raises(DigestMismatchError, match=f"sort key of fragment {PAIR[0].fragment_id}"):
        check_sort_keys(read(json.loads(json.dumps(wrong))), KEYS)


@pytest.mark.parametrize("name", ["plan", "order", "keys", "close_pairs", "sections"])
def test_a_claim_that_is_left_out_or_added_is_refused(name):
    document = copy.deepcopy(DOCUMENT)
    del document[name]
    with pytest.raises(MalformedError):
        read(document)
    with pytest.raises(MalformedError):
        read({**DOCUMENT, name + "2": 1})


@pytest.mark.parametrize("name", ["keys", "sections"])
def test_a_list_that_is_cut_short_is_refused(name):
    with pytest.raises(DigestMismatchError, match=f"number of {name}"):
        read(replaced((name,), lambda entries: entries[:-1]))


def test_sections_in_another_order_are_refused():
    with pytest.raises(DigestMismatchError, match="of a section"):
        read(replaced(("sections",), lambda entries: entries[::-1]))


def test_a_fragment_named_twice_is_refused():
    with pytest.raises(MalformedError, match="once"):
        read(replaced(("plan", "fragments"), lambda entries: [entries[0], entries[0]]))


@pytest.mark.parametrize("layers", [[0, 4], [0, 4096], [3, 4], [1, 1], [-1, 2], [0, 4097], [0]])
def test_layers_that_the_fragments_have_not_are_refused(layers):
    with pytest.raises(InvalidInputError, match="layers"):
        read(replaced(("plan", "layers"), lambda _: layers))


def test_a_receipt_of_no_fragments_is_refused():
    with pytest.raises(NothingToRenderError):
        read(replaced(("plan", "fragments"), lambda _: []))


def test_a_stride_that_does_not_fit_is_refused():
    with pytest.raises(InvalidRequestError, match="stride"):
        read(replaced(("plan", "stride"), lambda _: 1))


def test_fragments_that_do_not_go_together_are_refused():
    with pytest.raises(IncompatibleFragmentsError):
        read(replaced(("plan", "prefixes"), lambda _: []))


@pytest.mark.parametrize("key", ["nan", "inf", "-0x1p0", "0x1p99999", "zz", ""])
def test_a_sort_key_that_no_keys_could_have_is_malformed(key):
    with pytest.raises(MalformedError, match="key_hex"):
        read(replaced(("keys", 0, "key_hex"), lambda _: key))


def test_true_is_not_one():
    document = replaced(("plan", "layers", 0), lambda _: False)
    with pytest.raises(MalformedError):
        read(document)
    with pytest.raises(DigestMismatchError):
        read(replaced(("plan", "spec_version"), lambda _: True))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=9), v, max_size=3)
)


@given(st.sampled_from(list(leaves(DOCUMENT))), st.integers(1, 6), values)
@settings(max_examples=400, deadline=None)
def test_no_value_in_the_place_of_another_crashes_the_reader(path, depth, value):
    document = replaced(path[:depth], lambda _: value)
    try:
        check_sort_keys(read(document), KEYS)
    except LatentCRDTError:
        return
    assert path[0] == "sections" or document == DOCUMENT


def nested(depth):
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize("path", [("plan",), ("plan", "layers"), ("plan", "base"), ("keys",)])
def test_a_document_too_deep_to_print_is_refused(path, depth):
    document = copy.deepcopy({**DOCUMENT, "plan": dict(DOCUMENT["plan"])})
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = [nested(depth)]
    with pytest.raises(LatentCRDTError):
        read(document)


@given(values)
@settings(max_examples=200, deadline=None)
@example({"plan": {}})
def test_no_document_crashes_the_reader(value):
    with pytest.raises(LatentCRDTError):
        read(value)


@given(st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b"\x91" * 100_000)
@example(b"\x81" * 100_000)
@example(b"\x80")
@example(b"")
@example(b'{"a": ' + b"9" * 5000 + b"}")
@settings(max_examples=300, deadline=None)
def test_no_bytes_crash_the_parser(data):
    try:
        document = parse_document(data)
    except MalformedError:
        return
    with pytest.raises(LatentCRDTError):
        read(document)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_refused_or_changes_digests_alone(offset, flip):
    for data in (json.dumps(DOCUMENT).encode(), pack_document(DOCUMENT)):
        changed = bytearray(data)
        changed[offset % len(data)] ^= flip
        try:
            receipt = read(parse_document(bytes(changed)))
            check_sort_keys(receipt, KEYS)
        except LatentCRDTError:
            continue
        assert receipt.plan == RECEIPT.plan
