"""A fragment as a value: its header, and views of its sections in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latentcrdt.core.container import FRAGMENT_MAGIC, split
from latentcrdt.core.encoding import Buffer, digest
from latentcrdt.core.geometry import Geometry
from latentcrdt.core.header import (
    FragmentHeader,
    LatentInputs,
    Section,
    SectionDigests,
    pack_token_ids,
)
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.errors import DigestMismatchError, TruncatedError


@dataclass(frozen=True, slots=True)
class Fragment:
    """One sequence's KV contribution, immutable. The body may be bytes or a mapped file."""

    header: FragmentHeader
    body: memoryview
    """All sections in file order, ``header.body_bytes`` long."""

    @property
    def fragment_id(self) -> FragmentId:
        """BLAKE3 of the header bytes."""
        return self.header.fragment_id

    @property
    def num_bytes(self) -> int:
        """Length of the fragment file."""
        return self.header.body_start + len(self.body)

    @property
    def framing(self) -> bytes:
        """The bytes of the fragment file that stand before the body."""
        return self.header.framing

    def keys(self, layer: int) -> memoryview:
        """Return the bytes of a layer's K ``[H, T_l, D]``."""
        return self.section(self.header.keys_section(layer))

    def values(self, layer: int) -> memoryview:
        """Return the bytes of a layer's V ``[H, T_l, D_v]``."""
        return self.section(self.header.values_section(layer))

    def section(self, section: Section) -> memoryview:
        """Return the bytes of one section."""
        return self.body[section.offset : section.stop]

    def verify(self) -> None:
        """Raise DigestMismatchError, naming the first section whose bytes differ."""
        for section in self.header.sections:
            check_section(self.header, section, digest(self.section(section)))

    def to_bytes(self) -> bytes:
        """Return the whole fragment file."""
        return self.framing + self.body

    @classmethod
    def from_buffer(cls, data: Buffer, *, verify: bool = True) -> Fragment:
        """Return the fragment that a whole file spells, without copying its body.

        ``verify=False`` is for bytes that were verified before (a store's own files).
        """
        header_bytes, body = split(FRAGMENT_MAGIC, memoryview(data).toreadonly())
        header = FragmentHeader.decode(header_bytes)
        check_body_length(header, len(body))
        fragment = cls(header, body)
        if verify:
            fragment.verify()
        return fragment

    @classmethod
    def build(
        cls,
        geometry: Geometry,
        layers: Sequence[tuple[Buffer, Buffer]],
        *,
        start: int,
        seq_len: int,
        prefix: FragmentId | None = None,
        token_ids: Sequence[int] | None = None,
        latent_inputs: tuple[int, Buffer] | None = None,
    ) -> Fragment:
        """Return a fragment of these K and V bytes (one pair a layer), hashed and joined.

        ``latent_inputs`` is the width of an embedding and the embeddings' bytes.
        """
        parts = [part for pair in layers for part in pair]
        latent = None
        if latent_inputs is not None:
            width, rows = latent_inputs
            latent = LatentInputs(width, Digest(digest(rows)))
            parts.append(rows)
        header = FragmentHeader(
            geometry,
            start,
            seq_len,
            tuple(SectionDigests(Digest(digest(k)), Digest(digest(v))) for k, v in layers),
            prefix,
            None if token_ids is None else pack_token_ids(token_ids),
            latent,
        )
        for section, part in zip(header.sections, parts, strict=True):
            if memoryview(part).nbytes != section.size:
                raise TruncatedError(
                    f"layer {section.layer} {section.part}: expected {section.size} bytes, "
                    f"got {memoryview(part).nbytes}"
                )
        return cls(header, memoryview(b"".join(parts)))


def check_body_length(header: FragmentHeader, length: int) -> None:
    """Raise TruncatedError unless a body has the length that its header implies."""
    if length != header.body_bytes:
        raise TruncatedError(
            f"fragment {header.fragment_id}: expected a body of {header.body_bytes} bytes, "
            f"got {length}",
            id=str(header.fragment_id),
            expected=header.body_bytes,
            actual=length,
        )


def check_section(header: FragmentHeader, section: Section, actual: bytes) -> None:
    """Raise DigestMismatchError unless a section hashes to what the header says."""
    if actual != section.digest:
        raise DigestMismatchError(
            f"fragment {header.fragment_id}, layer {section.layer}, {section.part}: "
            f"expected digest {section.digest}, got {actual.hex()}",
            id=str(header.fragment_id),
            layer=section.layer,
            part=section.part,
            expected=str(section.digest),
            actual=actual.hex(),
        )
