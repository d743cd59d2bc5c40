"""Many fragments and many states: what listing, planning, pushing and starting cost then."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.cli.bench.large_store import NUM_CLASSES, fill, make_fragments, of_size
from latentcrdt.cli.bench.measure import status_bytes
from latentcrdt.store.directory import DirectoryStore

FRAGMENT_TYPE = "application/vnd.latentcrdt.fragment"

PUSHES = 100
"""Into each state whose size is to make no difference."""

HEALTH_PAUSE_S = 0.005
"""Between two looks at ``/healthz``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing asked for several times; seconds."""

    what: str
    times: int
    p50: float
    p99: float
    num_bytes: int | None = None
    """Of one answer."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One run."""

    num_fragments: int
    num_states: int
    rows: list[Row]
    server_bytes: list[int]
    """Anonymous memory of the server: started, and after all of it."""


def measure(num_fragments: int, num_states: int, runs: int) -> Scale:
    """Fill a store and ask a server of it."""
    with TemporaryDirectory(prefix="latentcrdt-bench-") as name:
        data = Path(name) / "data"
        sizes = (0, num_fragments // 10, num_fragments)
        fill(data, num_fragments, num_states, sizes)
        rows = list(_start(data, runs))
        with (
            ServerProcess(data) as server,
            httpx2.Client(base_url=server.url, timeout=600) as http,
        ):
            memory = [status_bytes(server.pid, "RssAnon")]
            with _Health(server.url) as health:
                rows += _ask(http, sizes, runs)
            rows.append(_row("/healthz meanwhile", health))
            memory.append(status_bytes(server.pid, "RssAnon"))
    return Scale(num_fragments, num_states, rows, memory)


def _start(data: Path, runs: int) -> Iterator[Row]:
    def open_and_close() -> None:
        DirectoryStore(data).close()

    yield _row("opening the store", _timed(open_and_close, runs))
    kept = data / "summaries"

    def open_without() -> None:
        for path in kept.iterdir():
            path.unlink()
        open_and_close()

    yield _row("the same, each head read again", _timed(open_without, 1))

    def serve() -> None:
        with ServerProcess(data) as server:
            httpx2.get(server.url + "/healthz").raise_for_status()

    yield _row("a server, from its start to its end", _timed(serve, runs))


def _ask(http: httpx2.Client, sizes: tuple[int, ...], runs: int) -> Iterator[Row]:
    def get(path: str, **params: str) -> Callable[[], int]:
        return lambda: len(http.get(path, params=params).raise_for_status().content)

    large = f"/v1/states/{of_size(sizes[-1])}"
    class_id = http.get(large).raise_for_status().json()["classes"][0]["id"]
    yield _asked("list the states", get("/v1/states"), runs)
    yield _asked("a small state", get("/v1/states/small-000000"), 20 * runs)
    yield _asked(f"a state of {sizes[-1]}", get(large), runs)
    yield _asked(
        f"plan {sizes[-1] // NUM_CLASSES} of {sizes[-1]}",
        get(f"{large}/plan", **{"class": class_id}),
        runs,
    )
    yield _asked("/metrics", get("/metrics"), 4 * runs)
    first = sizes[-1]
    pushes = {}
    for size in sizes:
        pushes[size] = [f.to_bytes() for f in make_fragments(PUSHES, first=first)]
        first += PUSHES
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(PUSHES):  # in turns, so that a slow moment hits all
        for size in sizes:
            times[size] += _timed(_push(http, size, pushes[size][number]), 1)
    for size in sizes:
        yield _row(f"push into a state of {size}", times[size])


def _push(http: httpx2.Client, size: int, body: bytes) -> Callable[[], object]:
    path, headers = f"/v1/states/{of_size(size)}/fragments", {"content-type": FRAGMENT_TYPE}
    return lambda: http.post(path, content=body, headers=headers).raise_for_status()


class _Health:
    """Looks at ``/healthz`` all the time, in a thread; the list of what it took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_over = threading.Event()
        self._times: list[float] = []
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=60) as http:
            while not self._is_over.wait(HEALTH_PAUSE_S):
                self._times += _timed(lambda: http.get("/healthz").raise_for_status(), 1)

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._times

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def _asked(what: str, ask: Callable[[], int], runs: int) -> Row:
    num_bytes = ask()
    return _row(what, _timed(ask, runs), num_bytes)


def _timed(action: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return times


def _row(what: str, times: list[float], num_bytes: int | None = None) -> Row:
    ranked = sorted(times)
    p99 = ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]
    return Row(what, len(ranked), statistics.median(ranked), p99, num_bytes)
