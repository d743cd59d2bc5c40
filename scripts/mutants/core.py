"""Bugs in the core: ids, bytes, plans, receipts."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "order of arrival instead of canonical order",
        "latentcrdt/core/placement.py",
        "for _, fragment_id in sorted(keys)]",
        "for _, fragment_id in list(keys)]",
        "tests/render/test_stream.py",
    ),
    Mutant(
        "ties broken by arrival",
        "latentcrdt/core/placement.py",
        "sorted(keys)]",
        "sorted(keys, key=lambda pair: pair[0])]",
        "tests/core/test_plan.py",
    ),
    Mutant(
        "delta backwards",
        "latentcrdt/core/plan.py",
        "return self.new_start - self.start",
        "return self.start - self.new_start",
        "tests/core/test_plan.py",
    ),
    Mutant(
        "header accepted in two spellings",
        "latentcrdt/core/header.py",
        'check_one_spelling("fragment header", data, header.encoded)',
        "check_one_spelling",
        "tests/core/test_header.py",
    ),
    Mutant(
        "padding not checked",
        "latentcrdt/core/reader.py",
        "check_padding(self._head[PREAMBLE_BYTES + length :])",
        "check_padding(b'')",
        "tests/core/test_reader.py",
    ),
    Mutant(
        "section digests not checked while reading",
        "latentcrdt/core/fragment.py",
        "if actual != section.digest:",
        "if len(actual) != len(section.digest):",
        "tests/core",
    ),
    Mutant(
        "merge keeps only one side",
        "latentcrdt/core/gset.py",
        "self._elements |= other._elements",
        "self._elements = set(other._elements)",
        "tests/core/test_laws.py",
    ),
    Mutant(
        "root over ids in insertion order",
        "latentcrdt/core/state.py",
        "tuple(sorted([*self._sorted, *sorted(self._new)]))",
        "tuple([*self._sorted, *sorted(self._new)])",
        "tests/core/test_laws.py",
    ),
    Mutant(
        "class ignores the prefix",
        "latentcrdt/core/compatibility.py",
        "[*geometry.fields(), prefix and bytes(prefix)]",
        "[*geometry.fields(), None]",
        "tests/core/test_plan.py",
    ),
    Mutant(
        "a sliding layer keeps one row too many",
        "latentcrdt/core/geometry.py",
        "min(seq_len, self.window - 1)",
        "min(seq_len, self.window)",
        "tests/core/test_plan.py tests/render/test_stream.py",
    ),
    Mutant(
        "rows reused although they turn by another delta",
        "latentcrdt/core/reuse.py",
        "if turns and found[1].placement.delta != run.placement.delta:",
        "if False:",
        "tests/render/test_incremental.py",
    ),
    Mutant(
        "the last layer of a stream is not held against the receipt",
        "latentcrdt/core/digester.py",
        "if self._receipt is not None:",
        "if self._receipt is not None and layer < self._plan.layers.stop - 1:",
        "tests/core/test_render_reader.py",
    ),
)
