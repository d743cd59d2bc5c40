"""Watch the memory and open files of two peered servers under load: `python -m scripts.soak`.

Agents push, fetch, list, render and retract; the servers keep each other equal meanwhile. States
are retracted after a while, so that what is stored stays about the same: what grows then, grows
with traffic. Caches are made small (`inside/sitecustomize.py`), so that they are full at once;
garbage is collected every second; the allocator tells what is in use: what still grows has no
bound. What is allowed is what a retracted state leaves for good, and a margin. The samples, the
verdict and a plot are written to `--out`; the exit status is 0 only if everything is flat.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess
from rich.progress import Progress

from scripts.soak.plot import draw
from scripts.soak.sample import QUANTITIES, sample
from scripts.soak.state_bytes import retracted_state_bytes
from scripts.soak.traffic import FRAGMENTS_A_STATE, Traffic
from scripts.soak.trend import Trend, trend

INSIDE = Path(__file__).parent / "inside"

ALLOCATOR = {
    "PYTHONMALLOC": "malloc",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(128 << 10),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 10),
}
"""All memory is of one kind, glibc knows how much of it is in use, and gives free memory back."""

SAMPLE_S = 0.25
"""Between two samples."""

WARM_UP = 1 / 3
"""Of the run: caches, pools of threads and connections fill up."""

PUSHES_BEFORE = 1000
"""Of the warm-up at least: each cache has then forgotten something."""

MARGIN_BYTES = 100
"""By how much more than a retracted state leaves memory in use may grow with each push: an id and
its place in one set take as much."""

IDLE_BYTES = 1024
"""The same for memory that is taken from the system: what lies idle between pieces in use comes and
goes in steps of some hundred KiB."""

PUSHES_A_FILE = 500
"""How many pushes there must be, at least, for one more open file."""

PLANTS = {"memory": "memory:400", "files": "files:50"}
"""Leaks that must be found: bytes a push, and pushes an open file."""


@contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """Start processes with other variables, while the block runs."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def watch(
    minutes: float, traffic: Traffic, servers: dict[str, ServerProcess], folder: Path
) -> dict[str, list[dict[str, float]]]:
    """Sample the servers until time is over, or something goes wrong that should not."""
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    began = time.monotonic()
    pause = threading.Event()
    with Progress() as progress:
        task = progress.add_task("soaking", total=minutes * 60)
        while (seconds := time.monotonic() - began) < minutes * 60 and not traffic.is_over:
            for name, process in servers.items():
                done = {"seconds": seconds, "pushes": traffic.calls["push"]}
                if found := sample(process.pid, folder / name):
                    samples[name].append(done | found)
            progress.update(task, completed=seconds)
            pause.wait(SAMPLE_S)
    return samples


def judge(
    samples: list[dict[str, float]], state_bytes: float, pushes_before: int
) -> dict[str, Trend]:
    """Return the trends of one server, after its warm-up."""
    state = state_bytes / FRAGMENTS_A_STATE
    allowed = {
        "in_use_bytes": state + MARGIN_BYTES,
        "anonymous_bytes": state + IDLE_BYTES,
        "open_fds": 1 / PUSHES_A_FILE,
    }
    used = [s for s in samples[int(len(samples) * WARM_UP) :] if s["pushes"] >= pushes_before]
    work = [s["pushes"] for s in used]
    return {what: trend(work, [s[what] for s in used], allowed[what]) for what in QUANTITIES}


def soak(
    minutes: float,
    num_distinct: int,
    plant: str | None,
    out: Path,
    pushes_before: int = PUSHES_BEFORE,
) -> bool:
    """Run; return whether every quantity of both servers stayed flat."""
    inside = {"PYTHONPATH": os.pathsep.join([str(INSIDE), os.environ.get("PYTHONPATH", "")])}
    planted = {} if plant is None else {"SOAK_PLANT": plant}
    with (
        tempfile.TemporaryDirectory(prefix="latentcrdt-soak-") as directory,
        environment(ALLOCATOR | inside | planted),
        ServerProcess(Path(directory, "one")) as one,
        ServerProcess(
            Path(directory, "two"), peers=json.dumps([one.url]), sync_interval_s=0.2
        ) as two,
    ):
        servers = {"one": one, "two": two}
        traffic = Traffic([one.url, two.url], num_distinct)
        traffic.start()
        try:
            samples = watch(minutes, traffic, servers, Path(directory))
        finally:
            traffic.stop()
    if traffic.surprise is not None:
        raise traffic.surprise
    state_bytes = retracted_state_bytes()
    trends = {name: judge(taken, state_bytes, pushes_before) for name, taken in samples.items()}
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "minutes": minutes,
        "distinct": num_distinct,
        "plant": plant,
        "calls": traffic.calls,
        "expected_refusals": traffic.expected,
        "retracted_state_bytes": state_bytes,
        "trends": {
            name: {what: asdict(t) | {"judgement": t.judgement} for what, t in found.items()}
            for name, found in trends.items()
        },
        "samples": samples,
    }
    (out / "soak.json").write_text(json.dumps(document))
    draw(samples, WARM_UP, out / "soak.png")
    print(", ".join(f"{n} x {what}" for what, n in traffic.calls.most_common()))
    print(f"refused as expected: {dict(traffic.expected)}")
    print(f"a retracted state leaves {state_bytes:.0f} bytes, {FRAGMENTS_A_STATE} pushes each")
    for name, found in trends.items():
        for what, one_trend in found.items():
            print(f"{name} {line(what, one_trend)}")
    judgements = {t.judgement for found in trends.values() for t in found.values()}
    print(f"{' and '.join(sorted(judgements))}; samples and plot in {out}")
    return judgements == {"flat"}


def line(what: str, found: Trend) -> str:
    """Return a trend for people."""
    if what != "open_fds":
        level, unit, scale = f"{found.level / 2**20:.1f} MiB", "bytes a push", 1.0
    else:
        level, unit, scale = f"{found.level:.0f}", "a thousand pushes", 1000.0
    return (
        f"{what}: {level}, {found.slope * scale:+.1f} {unit} "
        f"({found.low * scale:+.1f} to {found.high * scale:+.1f}), "
        f"allowed {found.allowed * scale:.1f}: {found.judgement}"
    )


def main() -> None:
    """Parse the command line; exit 1 unless everything is flat."""
    parser = argparse.ArgumentParser(prog="python -m scripts.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--distinct", type=int, default=500, help="fragments of different content")
    parser.add_argument("--plant", choices=PLANTS, help="a leak that must be found")
    parser.add_argument("--out", type=Path, default=Path("build/soak"))
    options = parser.parse_args()
    plant = options.plant and PLANTS[options.plant]
    sys.exit(0 if soak(options.minutes, options.distinct, plant, options.out) else 1)


if __name__ == "__main__":
    main()
