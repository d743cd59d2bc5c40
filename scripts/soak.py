"""Watch the memory and open files of two peered servers under load: `python -m scripts.soak`.

Agents push, fetch, list, render and retract; the servers keep each other equal meanwhile. States
are retracted after a while, so that what is stored stays about the same: what grows then, grows by
traffic. The verdict is drawn from the last two thirds; the samples, the fit and a plot are written
to `--out`. A server keeps what it knows of some 50,000 such fragments: with few `--distinct` ones
its caches are full at once, and what still grows has no bound.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import httpx2
import matplotlib as mpl
import numpy as np
from latentcrdt_server.child_process import ServerProcess
from rich.progress import Progress

from latentcrdt.client import Client
from latentcrdt.errors import (
    BusyError,
    FragmentNotFoundError,
    NothingToRenderError,
    StateNotFoundError,
    StateRetractedError,
)
from latentcrdt.testing.fragments import make_fragment

mpl.use("Agg")
from matplotlib import pyplot as plt

FRAGMENTS_A_STATE = 40
"""Pushed to a state before the next one begins."""

LIVING_STATES = 5
"""States that are not retracted: about 200 fragments are held at any time."""

MAX_TOKENS = 2000
"""Of a fragment; with the geometry of the tests, 200 kB."""

BYTES_A_PUSH = 1024
"""By how much memory may rise for each new member: a server's feed keeps some 300 bytes of each for
as long as the process lives, and an allocator never gives back everything."""

FILES_RISE = 0.10
"""By how much of their mean open files may rise."""

QUANTITIES = ("anonymous_bytes", "open_fds")

EXPECTED = (
    BusyError,
    FragmentNotFoundError,
    NothingToRenderError,
    StateNotFoundError,
    StateRetractedError,
)
"""What an agent meets whose states end while it works."""


class Traffic:
    """Agents in threads, until they are told to stop; the first surprise ends them all."""

    def __init__(self, urls: list[str], num_distinct: int) -> None:
        self.calls: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.surprise: Exception | None = None
        self._urls = urls
        self._num_distinct = num_distinct
        self._states: list[str] = []
        self._stop = threading.Event()
        agents: list[Callable[[Client, random.Random], str]]
        agents = [self._fetch, self._render_there, self._render_here, self._list]
        self._seeds = count()
        self._threads = [
            threading.Thread(target=self._run, args=(agent, seed))
            for seed, agent in enumerate([self._push, self._push, *agents])
        ]

    def start(self) -> None:
        """Start every agent."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every agent after the call that it is in."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_over(self) -> bool:
        """Whether something went wrong that should not."""
        return self._stop.is_set()

    def _run(self, agent: Callable[[Client, random.Random], str], seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - load, not secrets
        clients = [Client(url) for url in self._urls]
        while not self._stop.is_set():
            try:
                self.calls[agent(chance.choice(clients), chance)] += 1
            except EXPECTED as error:
                self.expected[error.code] += 1
                self._stop.wait(0.01)
            except Exception as error:  # noqa: BLE001 - told by whoever waits for the threads
                self.surprise = error
                self._stop.set()
        for client in clients:
            client.close()

    def _push(self, client: Client, _chance: random.Random) -> str:
        seed = next(self._seeds)
        if seed % FRAGMENTS_A_STATE == 0:
            self._states.append(f"soak-{seed // FRAGMENTS_A_STATE}")
            if len(self._states) > LIVING_STATES:
                client.retract(self._states.pop(0))
        content = seed % self._num_distinct
        seq_len = 1 + content * 7919 % MAX_TOKENS
        client.push(self._states[-1], make_fragment(content, seq_len=seq_len))
        return "push"

    def _fetch(self, client: Client, chance: random.Random) -> str:
        members = client.state(self._any_state(chance)).members
        if members:
            client.fetch(chance.choice(members).fragment_id)
        return "fetch"

    def _render_there(self, client: Client, chance: random.Random) -> str:
        client.render(self._any_state(chance))
        return "render by the server"

    def _render_here(self, client: Client, chance: random.Random) -> str:
        client.render(self._any_state(chance), where="client")
        return "render by the client"

    def _list(self, client: Client, chance: random.Random) -> str:
        client.states()
        client.plan(self._any_state(chance))
        for url in self._urls:
            httpx2.get(f"{url}/metrics").raise_for_status()
        return "list"

    def _any_state(self, chance: random.Random) -> str:
        return chance.choice(self._states or ["soak-0"])


@dataclass(frozen=True, slots=True)
class Fit:
    """A straight line through one quantity of one server."""

    server: str
    quantity: str
    mean: float
    rise: float
    """From the first to the last second of the fit, along the line."""
    per_hour: float
    residual: float
    """Standard deviation around the line."""
    allowed: float
    """The largest rise that is called flat."""

    @property
    def is_flat(self) -> bool:
        """Whether the rise is as allowed, or less than the noise around the line."""
        return self.rise <= max(self.allowed, self.residual)


def sample(process: ServerProcess) -> dict[str, float]:
    """Return what the kernel says of a process: memory that no file backs, and open files."""
    folder = Path(f"/proc/{process.pid}")
    lines = dict(x.split(":", 1) for x in (folder / "status").read_text().splitlines())
    return {
        "anonymous_bytes": int(lines["RssAnon"].split()[0]) * 1024,
        "resident_bytes": int(lines["VmRSS"].split()[0]) * 1024,
        "open_fds": len(list((folder / "fd").iterdir())),
    }


def fit(server: str, quantity: str, samples: list[dict[str, float]], num_pushes: int) -> Fit:
    """Fit the last two thirds of a run with so many pushes."""
    used = samples[len(samples) // 3 :]
    seconds = np.array([s["seconds"] for s in used])
    values = np.array([s[quantity] for s in used])
    slope, base = np.polyfit(seconds, values, 1)
    in_fit = num_pushes * len(used) / len(samples)
    is_memory = quantity == "anonymous_bytes"
    return Fit(
        server,
        quantity,
        mean=float(values.mean()),
        rise=float(slope * (seconds[-1] - seconds[0])),
        per_hour=float(slope * 3600),
        residual=float(np.std(values - (slope * seconds + base))),
        allowed=BYTES_A_PUSH * in_fit if is_memory else FILES_RISE * float(values.mean()),
    )


def draw(samples: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Write a picture of both quantities."""
    figure, panels = plt.subplots(2, sharex=True, figsize=(11, 6), layout="constrained")
    for panel, quantity, unit in zip(panels, QUANTITIES, (2**20, 1), strict=True):
        for server, taken in samples.items():
            seconds = [s["seconds"] for s in taken]
            panel.plot(seconds, [s[quantity] / unit for s in taken], linewidth=1, label=server)
        panel.axvline(samples["one"][len(samples["one"]) // 3]["seconds"], color="grey")
        panel.set_ylim(bottom=0)
        panel.legend(loc="lower right")
    panels[0].set_ylabel("anonymous memory, MiB")
    panels[1].set_ylabel("open files")
    panels[1].set_xlabel("seconds; the fit begins at the grey line")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def soak(minutes: float, num_distinct: int, directory: Path, out: Path) -> int:
    """Run; return 0 if both quantities of both servers stayed flat."""
    samples: dict[str, list[dict[str, float]]] = {"one": [], "two": []}
    with ServerProcess(directory / "one") as one:
        peers = json.dumps([one.url])
        with ServerProcess(directory / "two", peers=peers, sync_interval_s=0.2) as two:
            servers = {"one": one, "two": two}
            traffic = Traffic([one.url, two.url], num_distinct)
            traffic.start()
            began = time.monotonic()
            pause = threading.Event()
            with Progress() as progress:
                task = progress.add_task("soaking", total=minutes * 60)
                while (seconds := time.monotonic() - began) < minutes * 60 and not traffic.is_over:
                    for name, process in servers.items():
                        samples[name].append({"seconds": seconds, **sample(process)})
                    progress.update(task, completed=seconds)
                    pause.wait(1.0)
            traffic.stop()
    if traffic.surprise is not None:
        print(f"FAILED: {type(traffic.surprise).__name__}: {traffic.surprise}")
        return 1
    num_pushes = traffic.calls["push"]
    fits = [fit(name, what, samples[name], num_pushes) for name in servers for what in QUANTITIES]
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "minutes": minutes,
        "distinct": num_distinct,
        "calls": traffic.calls,
        "expected_refusals": traffic.expected,
        "fits": [{**asdict(f), "is_flat": f.is_flat} for f in fits],
        "samples": samples,
    }
    (out / "soak.json").write_text(json.dumps(document))
    draw(samples, out / "soak.png")
    print(", ".join(f"{n} x {what}" for what, n in traffic.calls.most_common()))
    print(f"refused as expected: {dict(traffic.expected)}")
    for one_fit in fits:
        print(_line(one_fit, num_pushes, minutes))
    is_flat = all(f.is_flat for f in fits)
    print(f"{'flat' if is_flat else 'NOT FLAT'}; samples and plot in {out}")
    return int(not is_flat)


def _line(one: Fit, num_pushes: int, minutes: float) -> str:
    unit, scale = ("MiB", 2**20) if one.quantity == "anonymous_bytes" else ("files", 1)
    text = (
        f"{one.server} {one.quantity}: mean {one.mean / scale:.1f} {unit}, "
        f"{one.rise / scale:+.2f} over the fit, {one.per_hour / scale:+.1f} an hour, "
        f"noise {one.residual / scale:.2f}"
    )
    if one.quantity == "anonymous_bytes":
        text += f", {one.per_hour / 60 * minutes / num_pushes:+.0f} bytes a push"
    return f"{text}: {'flat' if one.is_flat else 'GROWS'}"


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--distinct", type=int, default=500, help="fragments of different content")
    parser.add_argument("--out", type=Path, default=Path("build/soak"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latentcrdt-soak-") as directory:
        return soak(options.minutes, options.distinct, Path(directory), options.out)


if __name__ == "__main__":
    sys.exit(main())
