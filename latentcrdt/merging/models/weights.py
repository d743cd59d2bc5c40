"""merge_weights: two checkpoints of one architecture to a third, streamed from file to file.

A vector is a row of a matrix, what one output unit reads its inputs with, or a whole tensor of one
axis. So a few rows at a time give the same bytes as all at once.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from latentcrdt.client.atomic_file import replacing
from latentcrdt.client.safetensors_file import NamedTensor, write_safetensors
from latentcrdt.errors import InvalidRequestError, ModelMismatchError
from latentcrdt.hf.tensors import to_bytes
from latentcrdt.merging.models.blend import Operator, blend, check_alpha
from latentcrdt.merging.models.checkpoint import Checkpoint, StoredTensor

BLOCK_ELEMENTS = 1 << 20
"""Elements of either model that are in memory at once, unless a single row has more."""

COPIED = ("*.json", "*.jinja", "*.model", "*.txt")
"""What beside weights a model's folder holds: configuration, tokenizer, chat template."""


def merge_weights(base: Path, tuned: Path, out: Path, *, operator: Operator, alpha: float) -> None:
    """Write a model whose every tensor is blended from those of two, with the weight of ``tuned``.

    It has the files, dtypes, configuration and tokenizer of ``base``. Memory: some blocks of
    `BLOCK_ELEMENTS`. ``out`` appears whole or not at all. Raises InvalidRequestError for an ``out``
    that exists or an alpha out of range, ModelMismatchError for checkpoints that do not have the
    same tensors, and as `Checkpoint.of` does.
    """
    check_alpha(alpha)
    if out.exists():
        raise InvalidRequestError(f"{out}: expected a folder that does not exist yet")
    first, second = Checkpoint.of(base), Checkpoint.of(tuned)
    others = second.tensors()
    _check_same_tensors(first.tensors(), others)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".merging-") as scratch:
        draft = Path(scratch) / out.name
        draft.mkdir()
        for name, shard in first.shards.items():
            tensors = [
                NamedTensor(t, a.dtype, a.shape, _blocks(a, others[t], operator, alpha))
                for t, a in shard.items()
            ]
            with replacing(draft / name) as file:
                write_safetensors(file, tensors, {"format": "pt"})
        for path in (path for pattern in COPIED for path in base.glob(pattern)):
            shutil.copyfile(path, draft / path.name)
        draft.rename(out)


def _blocks(
    a: StoredTensor, b: StoredTensor, operator: Operator, alpha: float
) -> Iterator[memoryview]:
    """Yield the blended bytes, a block of rows at a time."""
    if math.prod(a.shape) == 0:
        return
    if len(a.shape) < 2:
        whole_a, whole_b = (stored.rows[...].reshape(-1) for stored in (a, b))
        yield to_bytes(blend(operator, whole_a, whole_b, alpha))
        return
    step = max(1, BLOCK_ELEMENTS // math.prod(a.shape[1:]))
    for start in range(0, a.shape[0], step):
        cut = slice(start, start + step)
        yield to_bytes(blend(operator, a.rows[cut], b.rows[cut], alpha))


def _check_same_tensors(first: dict[str, StoredTensor], second: dict[str, StoredTensor]) -> None:
    for name in sorted({*first, *second}):
        a, b = first.get(name), second.get(name)
        facts = [None if t is None else (t.dtype.value, t.shape) for t in (a, b)]
        if facts[0] != facts[1]:
            raise ModelMismatchError(
                f"two checkpoints: expected the same tensors, got {name} as {facts[0]} in the "
                f"first and {facts[1]} in the second",
                tensor=name,
            )
