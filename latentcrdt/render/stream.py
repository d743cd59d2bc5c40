"""The render itself: sections of fragments, rotated and laid side by side (RENDER_SPEC 4 and 6).

Three ways to the same bytes: `render` into memory, `render_chunks` as a stream in bounded memory,
and `run_digests` for a receipt, which hashes without keeping anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.receipt import RunDigests
from latentcrdt.core.rendered import Render
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.digested import KeysDigests, SectionDigests, run_name
from latentcrdt.render.engine import Engine
from latentcrdt.render.rows import VERBATIM, Rows
from latentcrdt.render.selection import select_engine
from latentcrdt.render.sources import SectionSource, not_given
from latentcrdt.render.tables import Bits

BUFFER_BYTES = 8 << 20
"""Size of the pooled buffer in which a stream assembles its chunks."""

DIRECT_BYTES = 64 << 10
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
    source = SectionSource(plan, fragments, reuse)
    body = np.empty(plan.body_bytes, dtype=np.uint8)
    offset = 0
    for layer in range(plan.layers.first, plan.layers.stop):
        for section in (source.keys(layer), source.values(layer)):
            heads, rows = range(section.num_heads), range(section.num_rows)
            offset += _write(section, heads, rows, body[offset:], engine).nbytes
    return Render(plan, body.data.toreadonly())


def render_chunks(
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    *,
    start: int = 0,
    stop: int | None = None,
    known: KeysDigests | None = None,
    engine: Engine | None = None,
) -> Generator[memoryview]:
    """Yield the bytes ``start`` to ``stop`` of the render stream, framing included.

    A view is valid until the next one is asked for. Memory is bounded by ``BUFFER_BYTES`` and an
    engine's scratch, whatever the size of the render. Sections outside the range cost nothing.
    Digests of keys that are turned on the way are added to ``known``: a receipt will want them.
    """
    engine = engine or select_engine()
    source = SectionSource(plan, fragments)
    total = len(plan.framing) + plan.body_bytes
    stop = total if stop is None else min(stop, total)
    yield from _clip(iter([memoryview(plan.framing)]), 0, start, stop)
    position = len(plan.framing)
    for layer in range(plan.layers.first, plan.layers.stop):
        for size, chunks in (
            (plan.keys_bytes(layer), _keys_chunks(source, layer, known, engine)),
            (plan.values_bytes(layer), _values_chunks(source, layer, engine)),
        ):
            if start < position + size and position < stop:
                yield from _clip(chunks, position, start, stop)
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
    source = SectionSource(plan, fragments)
    for layer in range(plan.layers.first, plan.layers.stop):
        runs = source.runs(layer).runs
        turns = plan.geometry.layers[layer].rope is not None
        keys: list[Digest | None] = []
        values: list[Digest | None] = []
        for run in runs:
            fragment = fragments.get(run.placement.fragment_id)
            if fragment is None:
                raise not_given(run.placement.fragment_id)
            pair = fragment.header.digests[layer]
            whole = run.num_rows == run.section_rows
            values.append(pair.values if whole else None)
            # Not `in` and then `[]`: a bounded mapping may forget in between.
            as_captured = whole and not (turns and run.placement.delta)
            keys.append(pair.keys if as_captured else known.get(run_name(layer, run)))
        if None in keys:
            for i, digest in _digests(source.keys(layer), keys, engine):
                known[run_name(layer, runs[i])] = keys[i] = digest
        if None in values:
            for i, digest in _digests(source.values(layer), values, engine):
                values[i] = digest
        for run, keys_digest, values_digest in zip(runs, keys, values, strict=True):
            assert keys_digest is not None
            assert values_digest is not None
            yield RunDigests(layer, run.placement.fragment_id, keys_digest, values_digest)


def _keys_chunks(
    source: SectionSource, layer: int, known: KeysDigests | None, engine: Engine
) -> Iterator[memoryview]:
    """Yield a layer's K, and note in ``known`` the digests of turned runs that it lacks."""
    section = source.keys(layer)
    if known is None:
        yield from _section_chunks(section, engine)
        return
    names = [run_name(layer, run) for run in source.runs(layer).runs]
    turned = np.flatnonzero(section.table_rows != VERBATIM).tolist()
    digests = SectionDigests(section, [i for i in turned if known.get(names[i]) is None])
    for chunk in _section_chunks(section, engine, digests):
        known.update((names[i], digest) for i, digest in digests.finished())
        yield chunk


def _values_chunks(source: SectionSource, layer: int, engine: Engine) -> Iterator[memoryview]:
    """Yield a layer's V."""
    yield from _section_chunks(source.values(layer), engine)


def _section_chunks(
    section: Rows, engine: Engine, digests: SectionDigests | None = None
) -> Iterator[memoryview]:
    """Yield one section: from where it lies, if it lies in long pieces, or from the buffer."""
    if (section.table_rows == VERBATIM).all():
        run_rows = section.run_rows
        heads = range(section.num_heads)
        if len(run_rows) == 1 and section.head_bytes[0] == run_rows[0] * section.row_bytes:
            # All of one fragment's section, which lies in one piece.
            yield section.bits(0, heads, range(section.num_rows)).data.cast("B")
            return
        if run_rows.min() * section.row_bytes >= DIRECT_BYTES:
            for head in heads:
                for run, num_rows in enumerate(run_rows.tolist()):
                    yield section.bits(run, range(head, head + 1), range(num_rows)).data.cast("B")
            return
    for rows, written in _written(section, engine):
        if digests is not None:
            digests.absorb(rows, written)
        yield written.data.cast("B").toreadonly()


def _written(section: Rows, engine: Engine) -> Iterator[tuple[range, Bits]]:
    """Yield a section's rows ``[heads, rows, D]``: some heads in whole, or some rows of one."""
    heads, rows = range(section.num_heads), range(section.num_rows)
    with _pooled_buffer() as buffer:
        head_bytes = section.num_rows * section.row_bytes
        if head_bytes <= len(buffer):
            at_once = len(buffer) // head_bytes
            for first in heads[::at_once]:
                yield rows, _write(section, heads[first : first + at_once], rows, buffer, engine)
            return
        at_once = max(1, len(buffer) // section.row_bytes)
        for head in heads:
            for first in rows[::at_once]:
                part = rows[first : first + at_once]
                yield part, _write(section, range(head, head + 1), part, buffer, engine)


def _write(
    section: Rows, heads: range, rows: range, buffer: NDArray[np.uint8], engine: Engine
) -> Bits:
    """Write some of a section to the start of the buffer, and return it as written."""
    size = len(heads) * len(rows) * section.row_bytes
    shape = len(heads), len(rows), section.dim
    into = buffer[:size].view(UNSIGNED[section.dtype]).reshape(shape)
    engine.write(section, heads, rows, into)
    return into


def _digests(
    section: Rows, found: Sequence[Digest | None], engine: Engine
) -> Iterator[tuple[int, Digest]]:
    """Yield the runs that have no digest yet, each with its own as it will stand in the render."""
    lacking = [i for i, digest in enumerate(found) if digest is None]
    part = section.only(np.array(lacking))
    digests = SectionDigests(part, range(len(lacking)))
    for rows, written in _written(part, engine):
        digests.absorb(rows, written)
        for i, digest in digests.finished():
            yield lacking[i], digest


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
