"""Read a receipt that anyone may have written, and hold it to what it must say.

A receipt is deterministic: plan, keys and digests leave nothing open. So it is not read field by
field and believed, but compared with the document that the truth would have: every claim is
checked, one of a later release too, and the first that is wrong is named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentcrdt.core.documents import plan_document, receipt_document
from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    Buffer,
    as_int,
    as_text,
    unpack_document,
)
from latentcrdt.core.geometry import MAX_LAYERS, MAX_POSITION
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.receipt import Receipt, RunDigests
from latentcrdt.errors import DigestMismatchError, FragmentNotFoundError, MalformedError

MSGPACK_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""First bytes of a msgpack map; no JSON text begins with one of them."""

KEY_CHARS = 64
"""No binary64 takes more characters in the spelling of ``float.hex``."""


@dataclass(frozen=True, slots=True)
class ClaimedPlan:
    """As much of a plan document as it takes to make the plan again from headers."""

    prefixes: tuple[FragmentId, ...]
    order: tuple[FragmentId, ...]
    layout: Layout
    stride: int | None
    layers: LayerRange

    @classmethod
    def of(cls, receipt: Any) -> ClaimedPlan:
        """Return the plan that a receipt document is about; MalformedError if it is about none."""
        document = _member(receipt, "plan", dict)
        layout = as_text(_member(document, "layout", str), "layout", 16)
        if layout not in list(Layout):
            raise MalformedError(f"layout: expected one of {list(Layout)}, got {layout!r}")
        stride = None
        if document.get("stride") is not None:
            stride = as_int(_member(document, "stride", int), "stride", 1, MAX_POSITION)
        layers = _member(document, "layers", list)
        if [type(bound) for bound in layers] != [int, int]:
            raise MalformedError("layers: expected two integers")
        as_int(layers[1], "layers stop", 1, MAX_LAYERS)
        as_int(layers[0], "layers first", 0, layers[1] - 1)
        prefixes, order = (
            tuple(_id(_member(entry, "id", str)) for entry in _member(document, name, list))
            for name in ("prefixes", "fragments")
        )
        if len(set(order)) != len(order):
            raise MalformedError("fragments: expected each once, as in a set; got a repetition")
        return cls(prefixes, order, Layout(layout), stride, LayerRange(*layers))

    def place(self, headers: Mapping[FragmentId, FragmentHeader]) -> RenderPlan:
        """Return the plan, placed again from the headers of all its fragments.

        Raises FragmentNotFoundError for one that is not given, DigestMismatchError for layers that
        it has not, and what `place` raises. Whether it is the plan that the document describes,
        `read_receipt` finds out.
        """
        placed = [_header(headers, i) for i in self.order]
        if placed and self.layers.stop > len(placed[0].geometry.layers):
            raise DigestMismatchError(
                f"plan, layers: expected some of {len(placed[0].geometry.layers)}, got up to "
                f"{self.layers.stop - 1}",
                claim="plan, layers",
            )
        return place(
            placed,
            [_header(headers, i) for i in self.prefixes],
            layout=self.layout,
            stride=self.stride,
            layers=self.layers,
        )


def parse_document(data: Buffer) -> Any:
    """Return the document that JSON or msgpack bytes spell, or raise MalformedError."""
    if bytes(data[:1]) and data[0] in MSGPACK_MAPS:
        return unpack_document(data)
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"expected a document as JSON or msgpack: {error}") from error


def read_receipt(document: Any, plan: RenderPlan) -> Receipt:
    """Return the receipt that a document spells for a plan that is already in hand.

    Raises MalformedError for another shape; DigestMismatchError, naming the claim, when anything
    in it is not as plan and keys have it. Whether keys and digests are right, only fragments tell.
    """
    _compare("plan", plan_document(plan), _member(document, "plan", dict))
    receipt = Receipt(
        plan,
        tuple(_key(entry) for entry in _member(document, "keys", list)),
        tuple(_run_digests(entry) for entry in _member(document, "sections", list)),
    )
    expected = [
        (layer, run.placement.fragment_id)
        for layer in range(plan.layers.first, plan.layers.stop)
        for run in plan.runs(layer)
    ]
    _compare("number of keys", len(plan.placements), len(receipt.keys))
    _compare("number of sections", len(expected), len(receipt.digests))
    for (layer, fragment_id), claimed in zip(expected, receipt.digests, strict=True):
        _compare("layer of a section", layer, claimed.layer)
        _compare("fragment of a section", str(fragment_id), str(claimed.fragment_id))
    _compare("receipt", receipt_document(receipt), document)
    return receipt


def check_sort_keys(receipt: Receipt, actual: Sequence[float]) -> None:
    """Raise DigestMismatchError, naming the fragment, unless the sort keys are the true ones."""
    placed = zip(receipt.plan.placements, receipt.keys, actual, strict=True)
    for placement, claimed, key in placed:
        _compare(f"sort key of fragment {placement.fragment_id}", key.hex(), claimed.hex())


def _header(
    headers: Mapping[FragmentId, FragmentHeader], fragment_id: FragmentId
) -> FragmentHeader:
    if fragment_id not in headers:
        raise FragmentNotFoundError(
            f"fragment {fragment_id}: expected it among those to make the plan with",
            id=str(fragment_id),
        )
    return headers[fragment_id]


def _key(entry: Any) -> float:
    text = as_text(_member(entry, "key_hex", str), "key_hex", KEY_CHARS)
    try:
        key = float.fromhex(text)
    except (ValueError, OverflowError):
        key = math.nan
    if not 0 <= key < math.inf:
        raise MalformedError(f"key_hex: expected a mean of norms as float.hex, got {text!r}")
    return key


def _run_digests(entry: Any) -> RunDigests:
    return RunDigests(
        as_int(_member(entry, "layer", int), "layer", 0, MAX_LAYERS - 1),
        _id(_member(entry, "fragment", str)),
        Digest.parse(_member(entry, "keys", str)),
        Digest.parse(_member(entry, "values", str)),
    )


def _id(text: str) -> FragmentId:
    return FragmentId.parse(as_text(text, "id", 2 * DIGEST_BYTES))


def _member(document: Any, name: str, kind: type) -> Any:
    """Return one member of an object, of this type and no other."""
    if type(document) is not dict or type(document.get(name)) is not kind:
        raise MalformedError(f"expected a receipt, with {name!r} as {kind.__name__}")
    return document[name]


def _compare(name: str, expected: Any, given: Any) -> None:
    """Raise DigestMismatchError, naming the first claim that differs, unless all are equal.

    Goes as deep as ``expected`` does, whatever is given.
    """
    if isinstance(expected, Mapping) and type(given) is dict:
        if given.keys() != expected.keys():
            raise MalformedError(f"{name}: expected the fields {sorted(expected)} and no others")
        for key, value in expected.items():
            _compare(f"{name}, {key}", value, given[key])
    elif isinstance(expected, list) and type(given) is list and len(given) == len(expected):
        for index, value in enumerate(expected):
            _compare(f"{name} {index}", value, given[index])
    elif not _equal(expected, given):
        raise DigestMismatchError(
            f"{name}: expected {_shown(expected)}, got {_shown(given)}", claim=name
        )


def _equal(expected: Any, given: Any) -> bool:
    # JSON may spell the float 2.0 as 2; but true, which equals 1, is no number.
    alike = type(given) is type(expected) or (type(expected) is float and type(given) is int)
    return alike and bool(given == expected)


def _shown(value: Any) -> str:
    """Return a value for a message; what is nested may be too deep to print."""
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    return f"{value!r:.80}"
