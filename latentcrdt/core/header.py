"""The fragment header: the bytes that a fragment's id is the hash of (docs/format.md)."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from latentcrdt.core.compatibility import class_id
from latentcrdt.core.container import FRAGMENT_MAGIC, body_offset, frame
from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    Buffer,
    as_bytes,
    as_int,
    as_list,
    check_one_spelling,
    decode,
    digest,
    encode,
)
from latentcrdt.core.geometry import MAX_POSITION, MAX_WIDTH, Geometry
from latentcrdt.core.ids import ClassId, Digest, FragmentId
from latentcrdt.errors import MalformedError

KIND = "latentcrdt.fragment"
VERSION = 1

LATENT_TOKEN = -1
"""The token id of a latent row: a row that was fed an embedding instead of a token."""


@dataclass(frozen=True, slots=True)
class SectionDigests:
    """BLAKE3 of one layer's K section and V section."""

    keys: Digest
    values: Digest


@dataclass(frozen=True, slots=True)
class LatentInputs:
    """The input embeddings of the latent rows, one further section ``[n_latent, width]``."""

    width: int
    """Dimensions of an embedding (the model's hidden size)."""
    digest: Digest


@dataclass(frozen=True, slots=True)
class Section:
    """One contiguous run of the body: where it lies and what it must hash to."""

    layer: int | None
    """None for the latent inputs."""
    part: str
    """``keys``, ``values`` or ``latent_inputs``."""
    offset: int
    """Bytes from the first section's first byte."""
    size: int
    digest: Digest

    @property
    def stop(self) -> int:
        """Where it ends, in bytes from the first section's first byte."""
        return self.offset + self.size


# Not slotted: cached_property keeps the encoded bytes, which are needed again and again.
@dataclass(frozen=True)
class FragmentHeader:
    """What a fragment is: geometry, place in the sequence, and the digest of every section."""

    geometry: Geometry
    start: int
    """Position of the first token at capture."""
    seq_len: int
    """Number of tokens, at least 1."""
    digests: tuple[SectionDigests, ...]
    """One entry per layer."""
    prefix: FragmentId | None = None
    """The fragment that this one was captured behind."""
    token_bytes: bytes | None = None
    """The token ids as little-endian int32, or None when the sender withholds them.

    Kept as bytes: a header may hold millions of them, and few readers look at any.
    """
    latent_inputs: LatentInputs | None = None

    def __post_init__(self) -> None:
        as_int(self.start, "start", 0, MAX_POSITION - 1)
        as_int(self.seq_len, "seq_len", 1, MAX_POSITION - 1 - self.start)
        if len(self.digests) != len(self.geometry.layers):
            raise MalformedError(
                f"digests: expected one pair for each of {len(self.geometry.layers)} layers, "
                f"got {len(self.digests)}"
            )
        if self.token_bytes is not None:
            as_bytes(self.token_bytes, "token_ids", 4 * self.seq_len)
            if min(_int32s(self.token_bytes)) < LATENT_TOKEN:
                raise MalformedError("token_ids: expected ids in [-1, 2^31)")
        if self.latent_inputs is not None:
            as_int(self.latent_inputs.width, "latent_inputs width", 1, MAX_WIDTH)
            if not self.num_latent_rows:
                raise MalformedError("latent_inputs: expected token_ids that mark latent rows")

    @cached_property
    def class_id(self) -> ClassId:
        """The compatibility class that the fragment belongs to."""
        return class_id(self.geometry, self.prefix)

    @property
    def stop(self) -> int:
        """Position after the last token at capture."""
        return self.start + self.seq_len

    @property
    def token_ids(self) -> tuple[int, ...] | None:
        """The tokens, ``LATENT_TOKEN`` for latent rows, or None when the sender withholds them."""
        return None if self.token_bytes is None else tuple(_int32s(self.token_bytes))

    @cached_property
    def num_latent_rows(self) -> int:
        """How many of the tokens are latent rows (0 when the token ids are not known)."""
        return 0 if self.token_bytes is None else _int32s(self.token_bytes).count(LATENT_TOKEN)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections in file order: layer by layer, K before V, then the latent inputs."""
        return tuple(self._sections())

    @property
    def body_bytes(self) -> int:
        """Bytes of all sections together."""
        return self.sections[-1].stop

    def keys_section(self, layer: int) -> Section:
        """Return where a layer's K ``[H, T_l, D]`` lies."""
        return self.sections[2 * layer]

    def values_section(self, layer: int) -> Section:
        """Return where a layer's V ``[H, T_l, D_v]`` lies."""
        return self.sections[2 * layer + 1]

    @cached_property
    def encoded(self) -> bytes:
        """The canonical header bytes."""
        latent = self.latent_inputs
        model_id, dtype, ropes, layers = self.geometry.fields()
        rows = [spec.rows(self.seq_len) for spec in self.geometry.layers]
        return encode(
            KIND,
            VERSION,
            [
                model_id,
                dtype,
                ropes,
                [[*fields, count] for fields, count in zip(layers, rows, strict=True)],
                self.start,
                self.seq_len,
                self.prefix and bytes(self.prefix),
                self.token_bytes,
                latent and [latent.width, bytes(latent.digest)],
                [[bytes(pair.keys), bytes(pair.values)] for pair in self.digests],
            ],
        )

    @property
    def framing(self) -> bytes:
        """The bytes of the fragment file that stand before the body."""
        return frame(FRAGMENT_MAGIC, self.encoded)

    @property
    def body_start(self) -> int:
        """Where in the fragment file the body begins."""
        return body_offset(len(self.encoded))

    @property
    def file_bytes(self) -> int:
        """Size of the whole fragment file that has this header."""
        return self.body_start + self.body_bytes

    @cached_property
    def fragment_id(self) -> FragmentId:
        """BLAKE3 of the header bytes (RENDER_SPEC section 1)."""
        return FragmentId(digest(self.encoded))

    @classmethod
    def decode(cls, data: Buffer) -> FragmentHeader:
        """Return the header that these bytes spell.

        Raises MalformedError, UnsupportedVersionError, UnsupportedDtypeError or NotCanonicalError.
        """
        fields = as_list(decode(KIND, VERSION, data), "header fields", 10)
        model_id, dtype, ropes, layers, start, seq_len, prefix, tokens, latent, digests = fields
        specs = [as_list(v, "layer", 7) for v in as_list(layers, "layers")]
        geometry = Geometry.from_fields(model_id, dtype, ropes, [v[:6] for v in specs])
        if latent is not None:
            width, latent_digest = as_list(latent, "latent_inputs", 2)
            latent = LatentInputs(width, _digest(latent_digest))
        header = cls(
            geometry,
            start,
            seq_len,
            tuple(_pair(v) for v in as_list(digests, "digests")),
            None if prefix is None else FragmentId(_digest(prefix)),
            tokens,
            latent,
        )
        check_one_spelling("fragment header", data, header.encoded)
        return header

    def _sections(self) -> Iterator[Section]:
        offset = 0
        geometry = self.geometry
        for layer, spec in enumerate(geometry.layers):
            rows = spec.num_kv_heads * spec.rows(self.seq_len)
            pair = self.digests[layer]
            for part, row_bytes, section_digest in (
                ("keys", geometry.key_row_bytes(layer), pair.keys),
                ("values", geometry.value_row_bytes(layer), pair.values),
            ):
                yield Section(layer, part, offset, rows * row_bytes, section_digest)
                offset += rows * row_bytes
        if self.latent_inputs is not None:
            size = self.num_latent_rows * self.latent_inputs.width * geometry.dtype.itemsize
            yield Section(None, "latent_inputs", offset, size, self.latent_inputs.digest)


def pack_token_ids(token_ids: Sequence[int]) -> bytes:
    """Return token ids as a header holds them; MalformedError for what is no int32."""
    try:
        return struct.pack(f"<{len(token_ids)}i", *token_ids)
    except struct.error as error:
        raise MalformedError(f"token_ids: expected ids in [-1, 2^31): {error}") from error


def _int32s(data: bytes) -> array[int]:
    numbers = array("i", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _digest(value: Any) -> Digest:
    return Digest(as_bytes(value, "digest", DIGEST_BYTES))


def _pair(value: Any) -> SectionDigests:
    keys, values = as_list(value, "section digests", 2)
    return SectionDigests(_digest(keys), _digest(values))
