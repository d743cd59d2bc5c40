"""Run simulated clusters: `python -m scripts.simulate --seeds 5000`.

A seed that fails is printed with the command that repeats it. ``--plant`` plants a bug (or each of
them in turn, with ``all``) and counts the seeds until it shows.
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.progress import track

from latentcrdt.testing.simulation.checks import ViolationError
from latentcrdt.testing.simulation.planted import PLANTED
from latentcrdt.testing.simulation.run import simulate


def main() -> int:
    """Return 1 when a promise was broken, or a planted bug was not caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many, from 0 on")
    parser.add_argument("--seed", type=int, help="this one only, with its traceback")
    parser.add_argument("--plant", choices=[*PLANTED, "all"], metavar="BUG", help="or 'all'")
    options = parser.parse_args()
    if options.seed is not None:
        simulate(options.seed)
        return 0
    if options.plant is None:
        return run(options.seeds)
    bugs = list(PLANTED) if options.plant == "all" else [options.plant]
    return max(plant(bug, options.seeds) for bug in bugs)


def run(num_seeds: int) -> int:
    """Run all seeds and print what failed."""
    began, failed = time.monotonic(), 0
    for seed in track(range(num_seeds), "simulating"):
        try:
            simulate(seed)
        except ViolationError as violation:
            failed += 1
            print(f"{violation}\n  python -m scripts.simulate --seed {seed}")
    rate = num_seeds / (time.monotonic() - began)
    print(f"{num_seeds} seeds, {failed} failed, {rate:.0f} a second")
    return int(failed > 0)


def plant(bug: str, num_seeds: int) -> int:
    """Run until a planted bug shows."""
    with PLANTED[bug]():
        for seed in range(num_seeds):
            try:
                simulate(seed)
            except ViolationError as violation:
                print(f"caught after {seed + 1} seeds: {bug}\n  {violation}")
                return 0
    print(f"NOT CAUGHT in {num_seeds} seeds: {bug}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
