"""Bugs in merges of branches: in how they are made, served, asked for and proven."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

BRANCHES = "tests/merging/test_branches.py"
SERVER = "tests/server/test_merges.py"
CLIENT = "tests/client/test_merges.py"
COMMAND = "tests/cli/test_merges.py"

MUTANTS = (
    Mutant(
        "a piece of a head is one row short",
        "latentcrdt/merging/branches.py",
        "(head, slice(row, row + at_once))",
        "(head, slice(row, row + max(1, at_once - 1)))",
        BRANCHES,
    ),
    Mutant(
        "a rule that needs whole heads is given rows",
        "latentcrdt/merging/strategies/components.py",
        "takes_whole_heads=True",
        "takes_whole_heads=False",
        BRANCHES,
    ),
    Mutant(
        "heads of any length are taken whole",
        "latentcrdt/merging/branches.py",
        "if num_rows * row_values > MAX_VALUES:",
        "if num_rows < 0:",
        BRANCHES,
    ),
    Mutant(
        "a parameter below zero has no name",
        "latentcrdt/core/derivation.py",
        '_VALUE = re.compile(r"-?[a-z0-9]',
        '_VALUE = re.compile(r"[a-z0-9]',
        BRANCHES,
    ),
    Mutant(
        "all merges of a class are one",
        "server/latentcrdt_server/merges.py",
        "        name = derivation.derivation_id\n",
        "        name = Digest(derivation.class_id)\n",
        SERVER,
    ),
    Mutant(
        "whoever waited for a merge makes it again",
        "server/latentcrdt_server/merges.py",
        "                if kept is None:\n",
        "                if name:\n",
        SERVER,
    ),
    Mutant(
        "a receipt is named by its render alone",
        "server/latentcrdt_server/renderings.py",
        'return f"{self.plan.etag}.{self.merged.derivation.derivation_id}"',
        "return self.plan.etag",
        SERVER,
    ),
    Mutant(
        "a search is taken for no strategy at all",
        "latentcrdt/merging/strategies/__init__.py",
        "if name in SEARCHES:",
        "if not name:",
        SERVER,
    ),
    Mutant(
        "a merge is laid out",
        "latentcrdt/core/query.py",
        "if self.layout is not Layout.SEQUENTIAL or self.stride is not None:",
        "if self.stride is not None:",
        f"{SERVER} tests/core/test_merge_choice.py",
    ),
    Mutant(
        "a client takes a merge by any rule",
        "latentcrdt/client/flows/merging.py",
        "if receipt.derivation != expected:",
        "if receipt is None:",
        CLIENT,
    ),
    Mutant(
        "a client takes any anchor from a server",
        "latentcrdt/client/flows/merging.py",
        "    check_canonical(receipt.base, query)\n",
        "",
        CLIENT,
    ),
    Mutant(
        "a client does not compare what came with the receipt",
        "latentcrdt/client/flows/merging.py",
        "        receipt.check(digests)\n",
        "",
        CLIENT,
    ),
    Mutant(
        "a client asks for the branches that there are by then",
        "latentcrdt/client/flows/merging.py",
        "return query if len(named.order or ()) > MAX_NAMED else named",
        "return query",
        CLIENT,
    ),
    Mutant(
        "a merged branch may stand anywhere",
        "latentcrdt/client/plan_checks.py",
        '"place": (first.start, first.new_start) != (plan.base, plan.base),',
        '"place": first.start != plan.base,',
        CLIENT,
    ),
    Mutant(
        "a proof passes over values",
        "latentcrdt/merging/proof.py",
        '        receipt.check_section(index, "values", actual.values)\n',
        "",
        COMMAND,
    ),
    Mutant(
        "a proof takes rows under any id",
        "latentcrdt/merging/proof.py",
        "if placement.fragment_id != made.fragment_id:",
        "if made is None:",
        COMMAND,
    ),
)
