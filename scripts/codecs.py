"""Lossless codecs for two-byte floats, from wheels that the project does not depend on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scripts.matrix.environment import Missing
from scripts.matrix.provisions import wheels

WHEELS = ("zstandard==0.25.0", "lz4==4.4.5", "blosc==1.11.4")


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to make bytes fewer, and back. Both use one thread."""

    name: str
    compress: Callable[[bytes], Any]
    """The answer has a length, or is a tuple of parts that have."""
    decompress: Callable[[Any], Any]


def codecs() -> list[Codec] | Missing:
    """Return every codec, or why their wheels could not be had."""
    folder = wheels(WHEELS)
    if isinstance(folder, Missing):
        return folder
    sys.path.append(str(folder))
    import blosc  # type: ignore[import-not-found]  # noqa: PLC0415  # a wheel fetched just now
    import lz4.block  # type: ignore[import-not-found]  # noqa: PLC0415

    blosc.set_nthreads(1)
    return [
        Codec("lz4", lz4.block.compress, lz4.block.decompress),
        _zstd(1),
        _zstd(3),
        _planes(1),
        _planes(3),
        _blosc(blosc, "byte shuffle, lz4", "lz4", blosc.SHUFFLE),
        _blosc(blosc, "byte shuffle, zstd 1", "zstd", blosc.SHUFFLE),
        _blosc(blosc, "bit shuffle, zstd 1", "zstd", blosc.BITSHUFFLE),
    ]


def size_of(compressed: Any) -> int:
    """Return the bytes of what a codec has made."""
    parts = compressed if isinstance(compressed, tuple) else (compressed,)
    return sum(map(len, parts))


def split_planes(data: bytes) -> NDArray[np.uint8]:
    """Return the exponents of bf16 numbers, and their signs with the mantissas: ``[2, n]``.

    The sign goes from the front to the back, so that a byte holds a whole exponent. On a machine
    whose integers are little-endian, as a fragment's are.
    """
    bits = np.frombuffer(data, np.uint16)
    planes = np.empty((2, len(bits)), np.uint8)
    _split(bits, planes)
    return planes


def join_planes(planes: NDArray[np.uint8]) -> bytes:
    """Return the bytes that `split_planes` took apart."""
    bits = np.empty(planes.shape[1], np.uint16)
    _join(planes, bits)
    return bits.tobytes()


@njit
def _split(bits: NDArray[np.uint16], planes: NDArray[np.uint8]) -> None:
    for i in range(len(bits)):
        planes[0, i] = (bits[i] >> 7) & 0xFF
        planes[1, i] = ((bits[i] << 1) & 0xFE) | (bits[i] >> 15)


@njit
def _join(planes: NDArray[np.uint8], bits: NDArray[np.uint16]) -> None:
    for i in range(len(bits)):
        rest = planes[1, i]
        bits[i] = (np.uint16(rest & 1) << 15) | (np.uint16(planes[0, i]) << 7) | (rest >> 1)


def _zstd(level: int) -> Codec:
    import zstandard  # noqa: PLC0415  # a wheel fetched just now

    compressor = zstandard.ZstdCompressor(level=level)
    decompressor = zstandard.ZstdDecompressor()
    return Codec(f"zstd {level}", compressor.compress, decompressor.decompress)


def _planes(level: int) -> Codec:
    """Compress the exponents; signs and mantissas are noise, and are sent as they are."""
    plain = _zstd(level)

    def compress(data: bytes) -> tuple[Any, bytes]:
        exponents, rest = split_planes(data)
        return plain.compress(exponents.data), rest.tobytes()

    def decompress(parts: tuple[Any, bytes]) -> bytes:
        planes = [np.frombuffer(part, np.uint8) for part in (plain.decompress(parts[0]), parts[1])]
        return join_planes(np.stack(planes))

    return Codec(f"exponents, zstd {level}", compress, decompress)


def _blosc(blosc: Any, name: str, inner: str, how: int) -> Codec:
    def compress(data: bytes) -> Any:
        return blosc.compress(data, typesize=2, clevel=1, shuffle=how, cname=inner)

    return Codec(name, compress, blosc.decompress)
