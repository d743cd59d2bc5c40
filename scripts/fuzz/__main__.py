"""Fuzz the decoders, then a real server; exit 1 at the first thing that must not happen.

What was found is left in a folder that is named at the end, with the command that repeats it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.fuzz import api
from scripts.fuzz.targets import TARGETS

MAX_INPUT_BYTES = 4096
"""Longer inputs than the seeds take longer, and reach nothing more."""

MAX_MEMORY_MB = 1024
"""What a decoder may make of so short an input, with everything that is imported."""


def fuzz_decoder(name: str, seconds: int, folder: Path) -> bool:
    """Fuzz one decoder for so long; return whether nothing was found."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(TARGETS[name].seeds):
        assert TARGETS[name].try_one(seed), f"{name}: seed {number} is not taken"
        (corpus / f"seed-{number}").write_bytes(seed)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.fuzz.decoders", name),
            *(f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=10"),
            *(f"-rss_limit_mb={MAX_MEMORY_MB}", f"-artifact_prefix={folder}/", str(corpus)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = run.stderr.strip().splitlines()
    print(f"{name}: {lines[-1] if lines else 'no output'}", flush=True)
    for found in sorted(folder.glob("*-*")):
        print(*lines[-60:], sep="\n")
        print(f"again: {sys.executable} -m scripts.fuzz.decoders '{name}' {found}")
    return run.returncode == 0


def main() -> int:
    """Run what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("only", nargs="*", help=f"{', '.join(TARGETS)}, api; all if left out")
    chosen = parser.parse_args()
    names = chosen.only or [*TARGETS, "api"]
    folder = Path(tempfile.mkdtemp(prefix="latentcrdt-fuzz-"))
    for name in names:
        place = folder / name.replace(" ", "-")
        place.mkdir()
        if name == "api":
            is_clean = api.fuzz(chosen.seconds, place)
        else:
            is_clean = fuzz_decoder(name, chosen.seconds, place)
        if not is_clean:
            print(f"{name}: something was found; see {place}")
            return 1
    print(f"nothing was found in {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
