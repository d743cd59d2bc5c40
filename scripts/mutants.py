"""Plant bugs, one at a time, in a copy of the project, and see that the suite catches each.

Exits non-zero if a mutant survives, or no longer applies because the code it changes has moved.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("latentcrdt", "server", "tests", "docs", "scripts", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Mutant:
    """A bug: ``old`` becomes ``new`` in one file, and these tests must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str


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
        "rotation sign, reference",
        "latentcrdt/render/reference.py",
        "a * c - b * s",
        "a * c + b * s",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "rotation sign, torch",
        "latentcrdt/render/torch_engine.py",
        "self._turned_first.addcmul_(self._second, sin, value=-1)",
        "self._turned_first.addcmul_(self._second, sin)",
        "tests/render/test_engines.py",
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
        "self._sorted = tuple(sorted(self._ids))",
        "self._sorted = tuple(self._ids)",
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
        "tables of 24 bits for every dtype",
        "latentcrdt/render/tables.py",
        "{Dtype.BF16: 16, Dtype.F16: 13, Dtype.F32: 24}",
        "dict.fromkeys(Dtype, 24)",
        "tests/render/test_reals.py tests/render/test_engines.py",
    ),
    Mutant(
        "nothing is flushed",
        "latentcrdt/render/bits.py",
        "limit = SMALLEST_KEY[dtype] - 1",
        "limit = -1",
        "tests/render/test_engines.py",
    ),
    Mutant(
        "keys at delta 0 are computed instead of copied",
        "latentcrdt/render/sources.py",
        "self._table_rows[deltas != 0] = table_rows",
        "self._table_rows[:] = 0",
        "tests/render/test_stream.py",
    ),
    Mutant(
        "norms summed by numpy instead of folded",
        "latentcrdt/render/sort_key.py",
        "np.sqrt(fold(squares))",
        "np.sqrt(squares.sum(axis=0, dtype=np.float32))",
        "tests/render/test_sort_key.py",
    ),
    Mutant(
        "NaN in K accepted",
        "latentcrdt/render/sort_key.py",
        "if int((bits & mask).max()) > limit:",
        "if int((bits & mask).max()) > limit + mask:",
        "tests/render/test_sort_key.py",
    ),
    Mutant(
        "base of a table not rounded to binary32",
        "latentcrdt/render/inv_freq.py",
        "SIGNIFICANT_BITS_32) for e in exponents",
        "20) for e in exponents",
        "tests/render/test_inv_freq.py",
    ),
    Mutant(
        "file not synced before it is published",
        "latentcrdt/store/durability.py",
        "            file.sync()",
        "            pass",
        "tests/store/test_order_of_syncs.py",
    ),
    Mutant(
        "directory not synced after a fragment is published",
        "latentcrdt/store/objects.py",
        "self._disk.link(staged, final)\n            self._durability.sync_directory(final.parent)",
        "self._disk.link(staged, final)",
        "tests/store/test_order_of_syncs.py",
    ),
    Mutant(
        "writes go on after a failed fsync",
        "latentcrdt/store/durability.py",
        "if self._refusal is not None:",
        "if False:",
        "tests/store/test_io_failures.py",
    ),
    Mutant(
        "membership acknowledged before it is written",
        "latentcrdt/replication/states.py",
        "self._store.merge(name, delta)",
        "pass",
        "tests/replication",
    ),
    Mutant(
        "fragments with NaN admitted",
        "latentcrdt/replication/push.py",
        "        check_keys(fragment)\n",
        "",
        "tests/replication",
    ),
    Mutant(
        "staged files of a killed process left behind",
        "latentcrdt/store/directory.py",
        "            self._clear(self._staging.parent)\n",
        "",
        "tests/store/test_recovery.py",
    ),
    Mutant(
        "cached length of a sliding layer forgotten",
        "latentcrdt/hf/cache.py",
        "layer.cumulative_length = render.plan.num_tokens",
        "pass",
        "tests/hf/test_decode.py tests/hf/test_oracle.py",
    ),
    Mutant(
        "the self-test of a live model ignores keys",
        "latentcrdt/hf/self_test.py",
        "if not (keys_error <= bound and values_error <= bound):",
        "if not values_error <= bound:",
        "tests/hf/test_contract.py",
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
    Mutant(
        "damaged fragments rendered",
        "latentcrdt/replication/replica.py",
        "            self._store.verify(fragment_id)\n",
        "",
        "tests/replication/test_damage.py",
    ),
    Mutant(
        "models that cannot be moved are not refused by name",
        "latentcrdt/hf/contract.py",
        "        refuse_unmovable(config.model_type)\n",
        "",
        "tests/hf/test_refusals.py",
    ),
    Mutant(
        "any token opens the server",
        "server/latentcrdt_server/tokens.py",
        "            if hmac.compare_digest(given, known):\n",
        "            if given or known:\n",
        "tests/server/test_operations.py",
    ),
    Mutant(
        "sync does not include the other scopes",
        "server/latentcrdt_server/grants.py",
        "return scope in self.scopes or Scope.SYNC in self.scopes",
        "return scope in self.scopes",
        "tests/server/test_tokens.py",
    ),
    Mutant(
        "a state out of reach is forbidden instead of absent",
        "server/latentcrdt_server/caller.py",
        "if self.account.principal.knows(state):",
        "if state:",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "naming an id is enough to come by a fragment",
        "server/latentcrdt_server/caller.py",
        "if not self._has_claim(self.account, fragment_id, state):",
        "if not self.account:",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "naming a prefix is enough to come by it",
        "server/latentcrdt_server/routes/pushes.py",
        "                caller.check_prefix(header, state)\n",
        "",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "an empty line keeps a connection for ever",
        "server/latentcrdt_server/protocol.py",
        "        if self._head_deadline is None and not self._answers():\n",
        "        if False:\n",
        "tests/server/test_slow_heads.py",
    ),
    Mutant(
        "fragments on their way in need no room",
        "server/latentcrdt_server/ledger.py",
        "held[what] + coming[what] + asked[what] > limit",
        "held[what] + asked[what] > limit",
        "tests/server/test_ledger.py",
    ),
    Mutant(
        "a read sees adds invoked after it",
        "latentcrdt/testing/jepsen/set_full.py",
        "return add.invocation.index < read.completion.index",
        "return True",
        "tests/jepsen/test_set_full.py",
    ),
    Mutant(
        "elements never added pass",
        "latentcrdt/testing/jepsen/set_full.py",
        "if lost or unexpected:",
        "if lost:",
        "tests/jepsen/test_set_full.py",
    ),
    Mutant(
        "final reads of any time count",
        "latentcrdt/testing/jepsen/final_reads.py",
        "if r.invocation.index > end",
        "if True",
        "tests/jepsen/test_set_full.py",
    ),
    Mutant(
        "a partition blocks one way only",
        "latentcrdt/testing/jepsen/network.py",
        "self.links[receiver, sender].backward.change(BLOCKED)",
        "pass",
        "tests/jepsen/test_faults.py",
    ),
)


def survives(mutant: Mutant, folder: Path) -> bool:
    """Run the mutant's tests in a fresh copy that has the bug; return whether they all pass."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        sys.exit(f"{mutant.name}: expected the code once in {mutant.file}, update this script")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    path = os.pathsep.join([str(folder), str(folder / "server")])
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += mutant.tests.split()
    run = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=False
    )
    if run.returncode not in (0, 1):
        sys.exit(f"{mutant.name}: the tests did not run\n{run.stdout.decode()[-2000:]}")
    return run.returncode == 0


def main() -> None:
    """Try every mutant whose name contains the words given; print a table; exit 1 on a survivor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose name contains all of these")
    words = parser.parse_args().words
    chosen = [m for m in MUTANTS if all(word in m.name for word in words)]
    survivors = 0
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            lived = survives(mutant, Path(folder))
        survivors += lived
        print(f"{'SURVIVED' if lived else 'caught  '}  {mutant.name}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")
    sys.exit(1 if survivors or not chosen else 0)


if __name__ == "__main__":
    main()
