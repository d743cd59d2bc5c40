"""What came of one environment: run it, and find the first stage that differs."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from latentcrdt.core.encoding import digest
from latentcrdt.render.golden import golden
from latentcrdt.render.reference import ReferenceEngine
from scripts.matrix import hard_roots, wide_rows
from scripts.matrix.environment import ROOT, Environment

TIMEOUT_S = 600
"""For one environment: the slowest, a compiler under emulation, needs a tenth of it."""

Result = Literal["equal", "different", "failed", "did not run"]


@dataclass(frozen=True)
class Outcome:
    """One row of the table."""

    environment: str
    engine: str
    result: Result
    detail: str = ""
    """Where a difference starts, or why there is no answer."""
    facts: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """By stage, in order."""

    @property
    def digest(self) -> str:
        """The digest of all stages together; empty if it did not run."""
        return canonical_digest(self.digests) if self.digests else ""


@cache
def expected() -> dict[str, Any]:
    """Return what every environment must compute, in the order of the computation.

    The golden vectors, and two stages of the matrix's own: wide rows, as the reference turns them
    here, and hard roots, by arithmetic.
    """
    stages = {}
    for stage, values in golden().items():
        stages[stage] = values
        if stage == "rotate":
            stages["wide_rows"] = wide_rows.compute(ReferenceEngine())
        if stage == "sort_key":
            stages["hard_roots"] = hard_roots.expected()
    return stages


def run(environment: Environment, plant: str | None = None) -> Outcome:
    """Start the environment, altered by the plant if one is named, and judge what it computes."""

    def outcome(result: Result, detail: str, **more: dict[str, Any]) -> Outcome:
        return Outcome(environment.name, environment.engine, result, detail, **more)

    if environment.missing:
        return outcome("did not run", environment.missing)
    command = [*environment.command, "-m", "scripts.matrix.probe", environment.engine]
    for name in (*environment.alterations, *([plant] if plant else [])):
        command += ["--alter", name]
    with tempfile.TemporaryDirectory() as scratch:
        # numba's cache knows neither the level of optimisation nor fusing: a new one for each.
        variables = {
            "OMP_NUM_THREADS": "1",
            "NUMBA_CACHE_DIR": scratch,
            "PYTHONPATH": os.pathsep.join(map(str, (*environment.path, ROOT))),
            **environment.variables,
        }
        try:
            process = subprocess.run(
                command,
                env=os.environ | variables,
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return outcome("failed", f"no answer within {TIMEOUT_S} s")
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["no reason given"]
        return outcome("failed", f"exit status {process.returncode}: {lines[-1]}")
    answer = json.loads(process.stdout.splitlines()[-1])
    if "missing" in answer:
        return outcome("did not run", answer["missing"])
    facts, stages = answer["facts"], answer["stages"]
    for name, value in environment.expects.items():
        if facts.get(name) != value:
            found = facts.get(name)
            return outcome("did not run", f"{name} is {found}, not {value}", facts=facts)
    difference = first_difference(stages)
    digests = {stage: canonical_digest(stages[stage]) for stage in expected()}
    result: Result = "different" if difference else "equal"
    return outcome(result, difference, facts=facts, digests=digests)


def first_difference(stages: dict[str, Any]) -> str:
    """Return the first stage that is not as expected and which of its values; empty if none."""
    for stage, values in expected().items():
        wrong = [name for name, value in values.items() if stages[stage][name] != value]
        if wrong:
            return f"{stage}: {', '.join(wrong)}"
    return ""


def canonical_digest(value: Any) -> str:
    """Return the BLAKE3 digest of the value's one JSON spelling."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hex()
