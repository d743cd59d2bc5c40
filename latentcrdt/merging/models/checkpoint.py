"""Checkpoint: a model's folder of safetensors files, read a few rows at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from latentcrdt.client.safetensors_file import DTYPE_NAMES
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import InvalidRequestError, MalformedError, UnsupportedDtypeError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file, of which nothing was read yet."""

    dtype: Dtype
    shape: tuple[int, ...]
    rows: Any
    """Cut as a tensor is, it reads what is cut out of it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of a folder, by file and name."""

    folder: Path
    shards: Mapping[str, Mapping[str, StoredTensor]]

    @classmethod
    def of(cls, folder: Path) -> Checkpoint:
        """Open ``model.safetensors``, or the shards that an index names.

        Raises InvalidRequestError where there are none, MalformedError for an index or file that
        cannot be read, UnsupportedDtypeError for weights of other dtypes than bf16, f16 and f32.
        """
        return cls(folder, {name: _tensors(folder / name) for name in _files(folder)})

    def tensors(self) -> dict[str, StoredTensor]:
        """Return all tensors by name."""
        return {name: tensor for shard in self.shards.values() for name, tensor in shard.items()}


def _files(folder: Path) -> list[str]:
    if (folder / SINGLE).is_file():
        return [SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise InvalidRequestError(f"{folder}: expected a model, found neither {SINGLE} nor {INDEX}")
    try:
        places = json.loads(index.read_bytes())["weight_map"]
        files = sorted(set(map(str, places.values())))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(f"{index}: expected a weight_map: {error!r}") from error
    for name in files:
        if Path(name).name != name or not (folder / name).is_file():
            raise MalformedError(f"{index}: expected files beside it, found {name!r:.200}")
    return files


def _tensors(path: Path) -> dict[str, StoredTensor]:
    try:
        file: Any = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise MalformedError(f"{path}: expected a safetensors file: {error}") from error
    return {name: _stored(path, name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118  # no mapping


def _stored(path: Path, name: str, rows: Any) -> StoredTensor:
    dtype = DTYPES.get(rows.get_dtype())
    if dtype is None:
        raise UnsupportedDtypeError(
            f"{path}, {name}: expected one of {list(DTYPES)}, got {rows.get_dtype()}"
        )
    return StoredTensor(dtype, tuple(rows.get_shape()), rows)
