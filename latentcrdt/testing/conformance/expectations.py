"""Comparisons that say what was expected and what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def equal(what: str, expected: Any, actual: Any) -> None:
    """Raise AssertionError unless two values are equal."""
    if expected != actual:
        raise AssertionError(f"{what}: expected {_shown(expected)}, got {_shown(actual)}")


def same_bytes(what: str, expected: bytes, actual: bytes) -> None:
    """Raise AssertionError, naming the first byte that differs, unless all are equal."""
    if expected == actual:
        return
    pairs = enumerate(zip(expected, actual, strict=False))
    at = next((i for i, (x, y) in pairs if x != y), min(len(expected), len(actual)))
    wanted, came = (data[at : at + 16].hex() or "the end" for data in (expected, actual))
    raise AssertionError(
        f"{what}: expected {len(expected)} bytes, got {len(actual)}; "
        f"from byte {at} on expected {wanted}, got {came}"
    )


def covers(what: str, expected: Any, given: Any) -> None:
    """Raise AssertionError unless a document says all that is expected, exactly.

    An object may have more members than expected: an API may grow. 2.0 may be spelt 2, as JSON
    does; nothing else may be of another type.
    """
    if isinstance(expected, Mapping):
        if not isinstance(given, dict):
            raise AssertionError(  # noqa: TRY004 - an answer, not an argument
                f"{what}: expected an object, got {_shown(given)}"
            )
        for name, value in expected.items():
            if name not in given:
                raise AssertionError(f"{what}: expected a member {name!r}, got {sorted(given)}")
            covers(f"{what}: {name}", value, given[name])
    elif isinstance(expected, list):
        if not isinstance(given, list) or len(given) != len(expected):
            raise AssertionError(f"{what}: expected {_shown(expected)}, got {_shown(given)}")
        for index, value in enumerate(expected):
            covers(f"{what} {index}", value, given[index])
    else:
        alike = type(given) is type(expected) or (type(expected) is float and type(given) is int)
        if not alike or given != expected:
            raise AssertionError(f"{what}: expected {_shown(expected)}, got {_shown(given)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
