"""Bugs in hf and in the test pieces."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "cached length of a sliding layer forgotten",
        "latentcrdt/hf/cache.py",
        "layer.cumulative_length = num_tokens",
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
        "models that cannot be moved are not refused by name",
        "latentcrdt/hf/contract.py",
        "        refuse_unmovable(config.model_type)\n",
        "",
        "tests/hf/test_refusals.py",
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
        "latentcrdt/testing/jepsen/proxy_network.py",
        "self.links[receiver, sender].backward.change(BLOCKED)",
        "pass",
        "tests/jepsen/test_faults.py",
    ),
    Mutant(
        "the kernel's network is parted the wrong way round",
        "latentcrdt/testing/jepsen/namespace_network.py",
        "from {_address(sender)} to {_address(receiver)} blackhole",
        "from {_address(receiver)} to {_address(sender)} blackhole",
        "tests/jepsen/test_namespaces.py",
    ),
    Mutant(
        "a network namespace outlives a run that is killed",
        "latentcrdt/testing/jepsen/network_namespace.py",
        '(*within, "setpriv", "--pdeathsig", "SIGKILL", "--")',
        "within",
        "tests/jepsen/test_namespaces.py",
    ),
    Mutant(
        "a soak that decides nothing passes",
        "scripts/soak/trend.py",
        "if self.high <= self.allowed:",
        "if self.low <= self.allowed:",
        "tests/scripts/test_soak.py",
    ),
)
