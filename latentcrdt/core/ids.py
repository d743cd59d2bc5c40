"""Typed names: 32-byte digests of four kinds, and state names."""

from __future__ import annotations

import re
from typing import Self

from latentcrdt.core.encoding import DIGEST_BYTES
from latentcrdt.errors import InvalidIdError, InvalidStateNameError

STATE_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
"""DESIGN section 4. No name is ever a path."""

_STATE_NAME = re.compile(STATE_NAME_PATTERN.removesuffix("$") + r"\Z")


class Digest(bytes):
    """A BLAKE3 digest: 32 bytes that sort as bytes and print as 64 hexadecimal digits."""

    def __new__(cls, raw: bytes) -> Self:
        if len(raw) != DIGEST_BYTES:
            raise InvalidIdError(f"{cls.__name__}: expected {DIGEST_BYTES} bytes, got {raw!r:.80}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the digest that 64 lowercase hexadecimal digits spell."""
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise InvalidIdError(
                f"{cls.__name__}: expected 64 lowercase hexadecimal digits, got {text!r:.80}"
            )
        return cls(bytes.fromhex(text))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()[:12]}…)"


class FragmentId(Digest):
    """BLAKE3 of a fragment's header bytes (RENDER_SPEC section 1)."""


class ClassId(Digest):
    """BLAKE3 over what fragments must share to render together (RENDER_SPEC section 4)."""


class RenderId(Digest):
    """BLAKE3 that names a render before any byte of it exists (RENDER_SPEC section 7)."""


class RootDigest(Digest):
    """BLAKE3 over the sorted fragment ids of a state (DESIGN section 4)."""


class StateName(str):
    """The name of a state, checked."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _STATE_NAME.match(text):
            raise InvalidStateNameError(
                f"state name: expected {STATE_NAME_PATTERN}, got {text!r:.80}",
                expected=STATE_NAME_PATTERN,
            )
        return super().__new__(cls, text)
