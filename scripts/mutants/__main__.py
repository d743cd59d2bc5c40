"""Plant bugs, one at a time, in a copy of the project, and see that the suite catches each.

Exits non-zero if a mutant survives, or no longer applies because the code it changes has moved, or
if its tests fail without it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.mutants import (
    agents,
    client,
    core,
    elsewhere,
    eval_runs,
    evals,
    merging,
    object_store,
    render,
    repair,
    replication,
    server,
    store,
    two_models,
)
from scripts.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
AREAS = {
    module.__name__.rpartition(".")[2]: module.MUTANTS
    for module in (
        core,
        render,
        store,
        object_store,
        replication,
        agents,
        repair,
        evals,
        eval_runs,
        merging,
        server,
        client,
        two_models,
        elsewhere,
    )
}
MUTANTS = tuple(mutant for mutants in AREAS.values() for mutant in mutants)

COPIED = ("latentcrdt", "server", "tests", "docs", "scripts", "pyproject.toml", "README.md")


def copy_project(folder: Path) -> None:
    """Make a fresh copy of what the tests of mutants need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def passes(tests: str, folder: Path) -> bool:
    """Run tests in a copy of the project; return whether they all pass."""
    path = os.pathsep.join([str(folder), str(folder / "server")])
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += tests.split()
    run = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=False
    )
    if run.returncode not in (0, 1):
        sys.exit(f"{tests}: the tests did not run\n{run.stdout.decode()[-2000:]}")
    return run.returncode == 0


def survives(mutant: Mutant, folder: Path) -> bool:
    """Return whether the mutant's tests pass in a fresh copy that has the bug."""
    copy_project(folder)
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        sys.exit(f"{mutant.name}: expected the code once in {mutant.file}, update this script")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return passes(mutant.tests, folder)


def check_sound(tests: str, folder: Path) -> None:
    """Exit unless the tests pass without a bug: those that fail anyway would catch anything."""
    copy_project(folder)
    if not passes(tests, folder):
        sys.exit(f"{tests}: fail although no bug was planted")


def main() -> None:
    """Try every mutant of the areas whose name contains the words given; exit 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose name contains all of these")
    parser.add_argument("--area", action="append", choices=AREAS, help="only this; repeatable")
    options = parser.parse_args()
    of_areas = [mutant for area in options.area or AREAS for mutant in AREAS[area]]
    chosen = [m for m in of_areas if all(word in m.name for word in options.words)]
    for tests in dict.fromkeys(mutant.tests for mutant in chosen):
        with tempfile.TemporaryDirectory() as folder:
            check_sound(tests, Path(folder))
        print(f"pass      {tests}", flush=True)
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
