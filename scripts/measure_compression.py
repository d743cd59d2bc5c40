"""Measure what lossless compression would save on the wire, on real caches, and what it would cost.

Captures a text with the real small models that are installed, in bf16; compresses each section with
each codec, K as it is stored and as it was before its rotation. One thread, nothing else is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from latentcrdt.cli.bench.measure import median_seconds
from latentcrdt.cli.output import console
from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import RopeDescriptor
from latentcrdt.errors import LatentCRDTError
from latentcrdt.hf import capture, load_gemma3, load_smollm2
from latentcrdt.render.tables import pair_indices
from scripts.bench_peers.contender import Payload
from scripts.bench_peers.limits import PUT, SENDFILE, RawSession, raw_server
from scripts.codecs import Codec, codecs, size_of
from scripts.machine_facts import machine_facts
from scripts.marked_section import markdown, replace_section
from scripts.matrix.environment import Missing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SECTION = "compression"

MODELS = {"SmolLM2-135M": load_smollm2, "Gemma-3-270M": load_gemma3}

LINKS_GBIT = (1, 10, 25, 100)

KEYS, BARE_KEYS, VALUES = "K", "K before rotation", "V"


@dataclass(frozen=True, slots=True)
class Row:
    """A codec on one part of all layers of a capture."""

    model: str
    part: str
    codec: str
    ratio: float
    """Bytes before over bytes after."""
    least: float
    most: float
    """Of the sections, one by one."""
    compress_rate: float
    decompress_rate: float
    """Uncompressed bytes a second."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bytes go through anyway, a second, on this machine."""

    hashing: float
    loopback: float


def read_text(path: Path) -> str:
    """Return a text file; of a file in HotpotQA's form, the paragraphs of all its questions."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        return text
    paragraphs = (p for question in json.loads(text) for p in question["context"])
    return "\n".join(f"{title}\n{''.join(sentences)}" for title, sentences in paragraphs)


def capture_text(name: str, text: str, num_tokens: int) -> Fragment:
    """Return the start of a text as a model's bf16 cache."""
    model, tokenizer = MODELS[name]()
    token_ids = tokenizer(text)["input_ids"][:num_tokens]
    for parameter in model.parameters():  # not the buffers: rounded frequencies are refused
        parameter.data = parameter.data.bfloat16()
    return capture(model, None, token_ids)


def parts_of(fragment: Fragment) -> dict[str, list[bytes]]:
    """Return the sections of a fragment by part, and its keys before their rotation."""
    header = fragment.header
    parts: dict[str, list[bytes]] = {KEYS: [], BARE_KEYS: [], VALUES: []}
    for i, spec in enumerate(header.geometry.layers):
        shape = (spec.num_kv_heads, spec.rows(header.seq_len), spec.key_dim)
        keys = fragment.keys(i)
        parts[KEYS].append(bytes(keys))
        if spec.rope is not None:
            rope = header.geometry.ropes[spec.rope]
            parts[BARE_KEYS].append(unrotate(keys, shape, rope, header.stop))
        parts[VALUES].append(bytes(fragment.values(i)))
    return parts


def unrotate(
    keys: memoryview, shape: tuple[int, int, int], rope: RopeDescriptor, stop: int
) -> bytes:
    """Return keys ``[H, T, D]``, the last of which stands before ``stop``, each turned to 0.

    Rounded to bf16 again, so a bit may differ from what the model had: good for counting bytes.
    """
    turned = torch.frombuffer(bytearray(keys), dtype=torch.bfloat16).reshape(shape).double()
    positions = torch.arange(stop - shape[1], stop, dtype=torch.float64)
    inv_freq = torch.tensor(np.frombuffer(rope.inv_freq, "<f4").astype(np.float64))
    angles = positions[:, None] * inv_freq  # [T, rotary_dim / 2]
    first, second = (torch.from_numpy(indices) for indices in pair_indices(rope))
    a, b = turned[..., first], turned[..., second]
    turned[..., first] = a * angles.cos() + b * angles.sin()
    turned[..., second] = b * angles.cos() - a * angles.sin()
    return turned.to(torch.bfloat16).view(torch.int16).numpy().tobytes()


def measure(
    model: str, part: str, sections: list[bytes], available: Sequence[Codec], runs: int
) -> list[Row]:
    """Return what codecs do to some sections, timed in turns.

    Raises ValueError if one is not lossless.
    """
    compressed = {codec.name: [codec.compress(s) for s in sections] for codec in available}
    actions = {}
    for codec in available:
        if [codec.decompress(after) for after in compressed[codec.name]] != sections:
            raise ValueError(f"{codec.name}: expected the same bytes back, got others")
        actions[f"{codec.name} in"] = partial(_each, codec.compress, sections)
        actions[f"{codec.name} out"] = partial(_each, codec.decompress, compressed[codec.name])
    seconds = median_seconds(actions, runs=runs)
    total = sum(map(len, sections))
    rows = []
    for name, made in compressed.items():
        sizes = [size_of(one) for one in made]
        ratios = [len(section) / size for section, size in zip(sections, sizes, strict=True)]
        rates = total / seconds[f"{name} in"], total / seconds[f"{name} out"]
        rows.append(Row(model, part, name, total / sum(sizes), min(ratios), max(ratios), *rates))
    return rows


def measure_limits(fragment: Fragment, runs: int) -> Limits:
    """Return how fast one thread hashes, and one connection carries, a fragment's body."""
    body = fragment.body
    with tempfile.TemporaryDirectory() as folder, raw_server(Path(folder)) as server:
        session = RawSession(server.address)
        payload = Payload("body", "body", fragment)
        session.prepare(PUT, payload)()
        fetch = session.prepare(SENDFILE, payload)
        seconds = median_seconds({"hash": lambda: digest(body), "fetch": fetch}, runs=runs)
    return Limits(len(body) / seconds["hash"], len(body) / seconds["fetch"])


def gain(row: Row, limits: Limits, link_gbit: float, *, is_stored: bool) -> float:
    """Return how many times faster a push (or, ``is_stored`` compressed, a fetch) would be.

    At best: every stage overlaps with all the others and has a core of its own. The wire carries
    fewer bytes; hashing sees them all, since an id is the digest of what was captured.
    """
    link = link_gbit * 1e9 / 8
    plain = min(link, limits.loopback, limits.hashing)
    stages = [link * row.ratio, limits.loopback * row.ratio, limits.hashing, row.decompress_rate]
    if not is_stored:
        stages.append(row.compress_rate)
    return min(stages) / plain


def joined(rows: Sequence[Row]) -> list[Row]:
    """Return rows of whole fragments: K as stored and V, which have the same number of bytes."""
    whole = []
    for keys in (row for row in rows if row.part == KEYS):
        (values,) = (
            r for r in rows if (r.model, r.part, r.codec) == (keys.model, VALUES, keys.codec)
        )
        pair = (keys, values)
        whole.append(
            Row(
                keys.model,
                "K and V",
                keys.codec,
                statistics.harmonic_mean([r.ratio for r in pair]),
                min(r.least for r in pair),
                max(r.most for r in pair),
                statistics.harmonic_mean([r.compress_rate for r in pair]),
                statistics.harmonic_mean([r.decompress_rate for r in pair]),
            )
        )
    return whole


def tables(rows: Sequence[Row], limits: Limits) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Return, by title, headers and rows."""
    sizes = [
        [f"{r.model}, {r.part}", r.codec, f"{r.ratio:.3f}", f"{r.least:.2f} to {r.most:.2f}"]
        + [f"{rate / 1e9:.2f}" for rate in (r.compress_rate, r.decompress_rate)]
        for r in rows
    ]
    gains = [
        [f"{row.model}, {row.codec}"]
        + [
            f"{gain(row, limits, link, is_stored=False):.2f} / "
            f"{gain(row, limits, link, is_stored=True):.2f}"
            for link in LINKS_GBIT
        ]
        for row in joined(rows)
    ]
    hashing, loopback = limits.hashing / 1e9, limits.loopback / 1e9
    return {
        f"Ratios and speeds (GB/s, one thread; BLAKE3 {hashing:.2f}, loopback {loopback:.2f})": (
            ["", "codec", "ratio", "of one section", "compress", "decompress"],
            sizes,
        ),
        "Times faster at best: a push / a fetch of what is stored compressed": (
            ["", *(f"{link} Gbit/s" for link in LINKS_GBIT)],
            gains,
        ),
    }


def _each(action: Callable[[bytes], object], items: Sequence[bytes]) -> None:
    for item in items:
        action(item)


def main() -> None:
    """Measure, print, and renew the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, help="a text, or questions in HotpotQA's form")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    available = codecs()
    if isinstance(available, Missing):
        parser.error(available.reason)
    facts = machine_facts()
    rows, limits = [], None
    for name in MODELS:
        try:
            fragment = capture_text(name, read_text(options.text), options.tokens)
        except LatentCRDTError as error:
            console().print(f"{name} did not run: {error}")
            continue
        limits = limits or measure_limits(fragment, options.runs)
        for part, sections in parts_of(fragment).items():
            rows += measure(name, part, sections, available, options.runs)
    if limits is None:
        parser.error("none of the models is installed (make demo)")
    found = tables(rows, limits)
    for title, (headers, cells) in found.items():
        table = Table(*headers, title=title, box=None)
        for row in cells:
            table.add_row(*row)
        console().print(table, "")
    if options.write_docs:
        where = ", ".join(map(" ".join, facts.items()))
        about = f"Measured: {where}; {options.tokens} tokens of text.\n"
        parts = [f"**{title}**\n\n{markdown(*table)}" for title, table in found.items()]
        replace_section(PAGE, SECTION, "\n".join([about, *parts]))


if __name__ == "__main__":
    main()
