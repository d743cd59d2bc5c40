"""kill -9 at every call that changes the disk, and at points that no one chose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.store.directory import DirectoryStore
from tests.store.damaged import damaged

WRITER = """
import os, signal, sys
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from tests.store.damaged import damaged
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment

root, fatal_call = sys.argv[1], int(sys.argv[2])
store = DirectoryStore(root)
calls = 0

def deadly(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == fatal_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

for name in ("open", "write", "fdatasync", "link", "fsync", "unlink"):
    setattr(os, name, deadly(getattr(os, name)))
for seed in range(10**6):
    fragment = make_fragment(seed, seq_len=40)
    with store.put(max_bytes=1 << 20) as upload:
        upload.write(fragment.to_bytes())
        upload.publish()
    store.merge(StateName("a"), LatentState([fragment.fragment_id]))
    sys.stdout.write(f"{fragment.fragment_id}\\n")
    sys.stdout.flush()
"""

CALLS_A_PUSH = 12
"""The first push: open, write, fdatasync and link of the fragment, open and fsync of its shard,
unlink; then open, write and fdatasync of the new segment, open and fsync of its directory."""


def start_writer(root: Path, fatal_call: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(fatal_call)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_store(root: Path, acknowledged: Iterable[str]) -> None:
    expected = {FragmentId.parse(line) for line in acknowledged}
    store = DirectoryStore(root)
    held = set(store.ids())
    members = set(store.states().get(StateName("a"), LatentState()))
    assert expected <= held
    assert expected <= members
    assert members <= held, "a member whose object is not there: the order was wrong"
    for fragment_id in held:
        store.get(fragment_id).verify()
    assert list(damaged(store)) == []
    assert list((root / "quarantine").iterdir()) == []
    assert len(list((root / ".staging").iterdir())) == 1
    assert list(store._staging.iterdir()) == []
    store.close()


@pytest.mark.parametrize("fatal_call", range(1, CALLS_A_PUSH + 4))
def test_killed_at_each_call_of_a_push_nothing_acknowledged_is_lost(
    tmp_path: Path, fatal_call: int
) -> None:
    process = start_writer(tmp_path, fatal_call)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(output.splitlines()) == (0 if fatal_call <= CALLS_A_PUSH else 1)
    check_store(tmp_path, output.splitlines())


def test_killed_again_and_again_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_number in range(4):
        process = start_writer(tmp_path, 0)
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(3 + 11 * round_number)]
        os.kill(process.pid, signal.SIGKILL)
        # What it managed to say before it died was acknowledged too; a torn last line was not.
        rest = process.stdout.read()
        acknowledged += rest[: rest.rfind("\n") + 1].split()
        process.wait(timeout=60)
        process.stdout.close()
        check_store(tmp_path, acknowledged)
    assert len(set(acknowledged)) >= 36
