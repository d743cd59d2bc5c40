"""The render itself: sections of fragments, rotated and laid side by side (RENDER_SPEC 4 and 6).

Three ways to the same bytes: `render` into memory, `render_chunks` as a stream in bounded memory,
and `run_digests` for a receipt, which hashes without keeping anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.encoding import Hasher
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.receipt import RunDigests
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.render.digested import DigestedRows, KeysDigests, run_name
from latentcrdt.render.engine import Engine
from latentcrdt.render.rows import Rows
from latentcrdt.render.selection import select_engine
from latentcrdt.render.sources import FragmentRows, ReusedRows, RowSource

BUFFER_BYTES = 4 << 20
"""Size of the pooled buffer in which a stream assembles its chunks."""

DIRECT_BYTES = 256 << 10
"""Unturned rows at least this long leave from where they lie; shorter ones are gathered first."""

_buffers: deque[NDArray[np.uint8]] = deque(maxlen=8)


def render(
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    *,
    reuse: Render | None = None,
    engine: Engine | None = None,
) -> Render:
    """Return the whole render in memory.

    Rows that an earlier render, ``reuse``, holds are copied from there; of the fragments only
    `Reuse.lacking` of the two plans need to be given. FragmentNotFoundError names one that is not.
    """
    engine = engine or select_engine()
    source: RowSource = FragmentRows(fragments)
    if reuse is not None:
        source = ReusedRows(Reuse(plan, reuse.plan), reuse, source)
    body = np.empty(plan.body_bytes, dtype=np.uint8)
    offset = 0
    for size, runs in _sections(plan, source):
        _assemble(body[offset : offset + size], runs, engine, slice(None))
        offset += size
    return Render(plan, body.data.toreadonly())


def render_chunks(
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    *,
    start: int = 0,
    stop: int | None = None,
    known: KeysDigests | None = None,
    engine: Engine | None = None,
) -> Iterator[memoryview]:
    """Yield the bytes ``start`` to ``stop`` of the render stream, framing included.

    A view is valid until the next one is asked for. Memory is bounded by ``BUFFER_BYTES`` and an
    engine's scratch, whatever the size of the render. Sections outside the range cost nothing.
    Digests of keys that are turned on the way are added to ``known``: a receipt will want them.
    """
    engine = engine or select_engine()
    source: RowSource = FragmentRows(fragments)
    if known is not None:
        source = DigestedRows(source, known)
    total = len(plan.framing) + plan.body_bytes
    stop = total if stop is None else min(stop, total)
    yield from _clip(iter([memoryview(plan.framing)]), 0, start, stop)
    position = len(plan.framing)
    for size, runs in _sections(plan, source):
        if start < position + size and position < stop:
            yield from _clip(_section_chunks(runs, engine), position, start, stop)
        position += size


def run_digests(
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    *,
    known: KeysDigests | None = None,
    engine: Engine | None = None,
) -> Iterator[RunDigests]:
    """Yield what a receipt lists, in stream order, in bounded memory.

    Bytes that a fragment holds as they are need no hashing: its header has their digest. Digests of
    turned keys are looked up in, and added to, ``known``.
    """
    engine = engine or select_engine()
    known = {} if known is None else known
    source = FragmentRows(fragments)
    for layer in range(plan.layers.first, plan.layers.stop):
        for run in plan.runs(layer):
            fragment_id = run.placement.fragment_id
            pair = fragments[fragment_id].header.digests[layer]
            whole = run.num_rows == run.section_rows
            keys = source.keys(layer, run)
            if keys.table is None and whole:
                keys_digest = pair.keys
            else:
                name = run_name(layer, run)
                # Not `in` and then `[]`: a bounded mapping may forget in between.
                keys_digest = known.get(name) or _digest(keys, engine)
                known[name] = keys_digest
            values_digest = pair.values if whole else _digest(source.values(layer, run), engine)
            yield RunDigests(layer, fragment_id, keys_digest, values_digest)


def _sections(plan: RenderPlan, source: RowSource) -> Iterator[tuple[int, list[Rows]]]:
    """Yield the size and the runs of every carried section, K before V, in stream order."""
    for layer in range(plan.layers.first, plan.layers.stop):
        runs = plan.runs(layer)
        yield plan.keys_bytes(layer), [source.keys(layer, run) for run in runs]
        yield plan.values_bytes(layer), [source.values(layer, run) for run in runs]


def _section_chunks(runs: list[Rows], engine: Engine) -> Iterator[memoryview]:
    """Yield one section: as many heads at a time as the buffer holds, or parts of one head."""
    num_heads = len(runs[0].bits)
    head_bytes = sum(run.head_bytes for run in runs)
    if all(run.table is None and run.head_bytes >= DIRECT_BYTES for run in runs):
        for head in range(num_heads):
            for run in runs:
                yield run.bits[head].data.cast("B")
        return
    with _pooled_buffer() as buffer:
        if head_bytes <= len(buffer):
            at_once = len(buffer) // head_bytes
            for head in range(0, num_heads, at_once):
                heads = slice(head, min(head + at_once, num_heads))
                chunk = buffer[: head_bytes * (heads.stop - head)]
                _assemble(chunk, runs, engine, heads)
                yield chunk.data.toreadonly()
            return
        for head in range(num_heads):
            for run in runs:
                for part in run.split(slice(head, head + 1), len(buffer)):
                    chunk = buffer[: part.head_bytes]
                    _assemble(chunk, [part], engine, slice(None))
                    yield chunk.data.toreadonly()


def _assemble(into: NDArray[np.uint8], runs: list[Rows], engine: Engine, heads: slice) -> None:
    """Write the runs side by side on the token axis, for the heads given."""
    bits = runs[0].bits
    section = into.view(bits.dtype).reshape(len(bits[heads]), -1, bits.shape[-1])
    first = 0
    for run in runs:
        stop = first + run.num_rows
        run.write(section[:, first:stop], heads, engine)
        first = stop


def _digest(run: Rows, engine: Engine) -> Digest:
    """Hash the run as it will stand in the render, ``[H, rows, D]``, gathered head by head."""
    hasher = Hasher()
    for chunk in _section_chunks([run], engine):
        hasher.update(chunk)
    return Digest(hasher.digest())


def _clip(
    chunks: Iterator[memoryview], position: int, start: int, stop: int
) -> Iterator[memoryview]:
    """Yield what of the chunks, which begin at ``position``, lies in ``[start, stop)``."""
    for chunk in chunks:
        clipped = chunk[max(start - position, 0) : max(stop - position, 0)]
        if clipped:
            yield clipped
        position += len(chunk)
        if position >= stop:
            return


@contextmanager
def _pooled_buffer() -> Iterator[NDArray[np.uint8]]:
    """Lend a buffer whose pages are already there: faulting fresh ones costs more than rotation."""
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = np.empty(BUFFER_BYTES, dtype=np.uint8)
    try:
        yield buffer
    finally:
        _buffers.append(buffer)
