"""Summary: what listing, planning and accounting ask of a fragment, without its header.

A header holds a digest of every section and perhaps every token: kilobytes, and 170 us to read. A
summary takes about 250 bytes in memory, so those of a whole store are kept. It is derived, never
sent, and never hashed into anything: whoever has the fragment makes it again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import lru_cache

from latentcrdt.core.encoding import Buffer, decode, encode
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.errors import MalformedError

KIND = "latentcrdt.summary"
VERSION = 1

_KEY = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Kin:
    """What the fragments of one compatibility class have in common."""

    class_id: ClassId
    model_id: str
    dtype: str
    num_layers: int
    prefix: FragmentId | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One fragment."""

    fragment_id: FragmentId
    kin: Kin
    """One object for all of a class."""
    start: int
    seq_len: int
    num_latent_rows: int
    body_bytes: int
    file_bytes: int
    """Of the whole fragment file."""
    sort_key: float | None = None
    """None: not computed yet (RENDER_SPEC section 3)."""

    @classmethod
    def of(cls, header: FragmentHeader, sort_key: float | None = None) -> Summary:
        """Return the summary of a header, and of a key that was computed from its fragment."""
        geometry = header.geometry
        return cls(
            header.fragment_id,
            _kin(
                bytes(header.class_id),
                geometry.model_id,
                str(geometry.dtype),
                len(geometry.layers),
                header.prefix and bytes(header.prefix),
            ),
            header.start,
            header.seq_len,
            header.num_latent_rows,
            header.body_bytes,
            header.file_bytes,
            sort_key,
        )

    @property
    def class_id(self) -> ClassId:
        """The compatibility class."""
        return self.kin.class_id

    @property
    def prefix(self) -> FragmentId | None:
        """What the fragment was captured behind."""
        return self.kin.prefix

    def keyed(self, sort_key: float) -> Summary:
        """Return the same summary with its sort key."""
        return replace(self, sort_key=sort_key)

    @property
    def encoded(self) -> bytes:
        """The bytes from which `decode` makes it again."""
        kin = self.kin
        return encode(
            KIND,
            VERSION,
            [
                bytes(self.fragment_id),
                bytes(kin.class_id),
                kin.model_id,
                kin.dtype,
                kin.num_layers,
                None if kin.prefix is None else bytes(kin.prefix),
                self.start,
                self.seq_len,
                self.num_latent_rows,
                self.body_bytes,
                self.file_bytes,
                None if self.sort_key is None else _KEY.pack(self.sort_key),
            ],
        )

    @classmethod
    def decode(cls, data: Buffer) -> Summary:
        """Return the summary that was encoded, from bytes whose checksum held.

        Raises MalformedError or UnsupportedVersionError for what another release wrote.
        """
        fields = decode(KIND, VERSION, data)
        try:
            i, class_id, model_id, dtype, num_layers, prefix = fields[:6]
            start, seq_len, num_latent_rows, body_bytes, file_bytes, key = fields[6:]
            return cls(
                FragmentId(i),
                _kin(class_id, model_id, dtype, num_layers, prefix),
                start,
                seq_len,
                num_latent_rows,
                body_bytes,
                file_bytes,
                None if key is None else _KEY.unpack(key)[0],
            )
        except (ValueError, TypeError, struct.error) as error:
            raise MalformedError(f"expected a summary: {error!r:.200}") from error


@lru_cache(maxsize=4096)
def _kin(class_id: bytes, model_id: str, dtype: str, num_layers: int, prefix: bytes | None) -> Kin:
    """Return one object for all fragments of a class: there are few classes."""
    behind = None if prefix is None else FragmentId(prefix)
    return Kin(ClassId(class_id), model_id, dtype, num_layers, behind)
