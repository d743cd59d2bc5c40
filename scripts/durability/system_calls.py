"""SIGKILL, a failing sync or a full disk at every system call of an opening and of pushes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.membership_log import MAX_SEGMENTS
from scripts.durability.promises import Promises
from scripts.durability.row import Row
from scripts.durability.simulated import FRAGMENTS, IDS, NAMES
from scripts.durability.tracing import MISSING, count_calls, points, strike
from scripts.durability.victim import victim

Answers = list[tuple[str, FragmentId | None]]

SYNCS = ("fdatasync", "fsync")
GROWS = ("write", "link", "mkdir", "rename")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a process finds, and does."""

    name: str
    action: str
    prepare: Callable[[Path, Promises], None]


def _empty(_root: Path, _promises: Promises) -> None:
    """Leave the disk as it is."""


def _opened(root: Path, _promises: Promises) -> None:
    DirectoryStore(root).close()


def _crashed(root: Path, promises: Promises) -> None:
    """Leave a fragment, a staged file of another boot, and an object that was cut short."""
    _push(root, promises, IDS[0])
    leftover = root / ".staging" / "another-boot"
    leftover.mkdir()
    (leftover / "0").write_bytes(b"half")
    torn = str(IDS[1])
    (root / "obj" / torn[:2] / torn).write_bytes(FRAGMENTS[IDS[1]].to_bytes()[:100])


def _many_segments(root: Path, promises: Promises) -> None:
    for end in range(MAX_SEGMENTS + 1):
        with closing(DirectoryStore(root)) as store:
            delta = LatentState(expires_at=end)
            promises.ask(NAMES[1], delta)
            store.merge(NAMES[1], delta)
            promises.acknowledge(NAMES[1], delta)


PUSHING = Scene("pushing", "push", _opened)

SCENES = (
    Scene("opening an empty place", "open", _empty),
    Scene("opening after a crash", "open", _crashed),
    Scene("joining segments", "open", _many_segments),
    PUSHING,
)


def kills(*, sparse: bool = False) -> Iterator[Row]:
    """SIGKILL at every call; ``sparse``: at the first and the last of each kind only."""
    for scene in SCENES:
        row = Row("SIGKILL at a system call", scene.name, missing=MISSING)
        if not MISSING:
            strike_all(scene, row, "signal=SIGKILL", sparse=sparse)
        yield row


def failing_syncs() -> Iterator[Row]:
    """EIO from every sync."""
    for scene in SCENES:
        row = Row("EIO from fsync, fdatasync", scene.name, missing=MISSING)
        if not MISSING:
            strike_all(scene, row, "error=EIO", only=SYNCS)
        yield row


def no_room() -> Iterator[Row]:
    """ENOSPC from every call that takes room."""
    for scene in SCENES:
        row = Row("ENOSPC from a system call", scene.name, missing=MISSING)
        if not MISSING:
            strike_all(scene, row, "error=ENOSPC", only=GROWS)
        yield row


def strike_all(
    scene: Scene,
    row: Row,
    effect: str,
    *,
    only: tuple[str, ...] | None = None,
    sparse: bool = False,
) -> None:
    """Have an effect at every call of a scene (or of ``only`` some), and add what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made, promised = place / "made", Promises()
        scene.prepare(made, promised)
        try:
            calls = _calls_of(scene, made, place)
        except PermissionError as error:
            row.missing = str(error)
            return
        for call, count in calls.items():
            if only is not None and call not in only:
                continue
            struck = points(count)
            for number in sorted({struck[0], struck[-1]}) if sparse else struck:
                promises = deepcopy(promised)
                for fragment_id in IDS:
                    promises.ask(NAMES[0], LatentState([fragment_id]))
                with _copied(made, place / "store") as root:
                    with victim(scene.action, root) as process:
                        answers = strike(process, call, number, effect, place / "trace")
                    row.points += 1
                    at = f"{effect} at {call} {number}, {scene.name}: "
                    row.broken += [at + b for b in _judge(root, answers, effect, promises)]
                    row.acknowledged += promises.num_acknowledged


def _calls_of(scene: Scene, made: Path, place: Path) -> Mapping[str, int]:
    with _copied(made, place / "store") as root, victim(scene.action, root) as process:
        return count_calls(process, place / "trace")


def _judge(root: Path, answers: Answers, effect: str, promises: Promises) -> Iterator[str]:
    """Yield what is wrong with the answers, with the store opened again, and with what it takes."""
    codes = [code for code, _ in answers]
    if effect == "error=EIO" and "store_failed" in codes:
        after = codes[codes.index("store_failed") :]
        if set(after) != {"store_failed"}:
            yield f"acknowledged after a failed sync: {codes}"
    if effect == "error=ENOSPC" and not set(codes) <= {"ok", "store_full"}:
        yield f"a full disk was answered otherwise: {codes}"
    for code, fragment_id in answers:
        if code == "ok" and fragment_id is not None:
            promises.acknowledge(NAMES[0], LatentState([fragment_id]))
    with closing(DirectoryStore(root)) as store:
        yield from promises.broken(store, FRAGMENTS)
        (staged,) = (root / ".staging").iterdir()
        if list(staged.iterdir()):
            yield "staged files were left"
    _push(root, promises, *IDS)
    with closing(DirectoryStore(root)) as store:
        yield from promises.broken(store, FRAGMENTS)


def _push(root: Path, promises: Promises, *ids: FragmentId) -> None:
    with closing(Replica(DirectoryStore(root))) as replica:
        for fragment_id in ids:
            delta = LatentState([fragment_id])
            promises.ask(NAMES[0], delta)
            replica.push(NAMES[0], FRAGMENTS[fragment_id])
            promises.acknowledge(NAMES[0], delta)


@contextmanager
def _copied(made: Path, copy: Path) -> Iterator[Path]:
    if made.exists():
        shutil.copytree(made, copy)
    try:
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)
