"""``latentcrdt doctor`` on services that keep their promises, and on one that does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import obstore
import pytest
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket
from tests.object_store.seaweed import BUCKET
from tests.object_store.service import ServiceProcess, free_ports, program

ON_DISK = "it is on a disk, not in memory"


def doctor(*arguments: str) -> tuple[int, dict[str, bool]]:
    """Return the exit status, and for every promise whether it held."""
    ran = CliRunner().invoke(app, ["doctor", *arguments, "--json"])
    return ran.exit_code, {p["promise"]: p["holds"] for p in json.loads(ran.stdout)}


@pytest.fixture
def rclone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a directory by ``rclone serve s3``; return it."""
    (port,) = free_ports(1)
    root = tmp_path / "served"
    (root / BUCKET).mkdir(parents=True)
    command = [program("rclone"), "serve", "s3", str(root), f"--addr=127.0.0.1:{port}"]
    process = ServiceProcess([*command, "--config="], tmp_path / "rclone.log")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    process.wait_for(lambda: httpx2.get(f"http://127.0.0.1:{port}/{BUCKET}"))
    yield root
    process.kill()


@pytest.mark.usefixtures("seaweed")
def test_all_promises_hold_on_seaweedfs_and_nothing_stays_behind() -> None:
    status, promises = doctor("--store", f"s3://{BUCKET}/doctor")
    assert status == 0
    assert len(promises) == 15
    assert all(promises.values())
    bucket = ObstoreBucket.open(f"s3://{BUCKET}/doctor")
    assert obstore.list(bucket.service).collect() == []


def test_put_if_absent_and_ranges_are_found_broken_on_rclone(rclone: Path) -> None:
    status, promises = doctor("--store", f"s3://{BUCKET}/doctor")
    assert status == 1
    assert {what for what, holds in promises.items() if not holds} == {
        "what was written is read, whole and by ranges",
        "an object sent in parts is whole",
        "put-if-absent keeps what is there",
        "put-if-absent lets one of many win",
    }
    assert [path for path in rclone.rglob("*") if path.is_file()] == []


def test_all_promises_hold_in_a_directory_and_nothing_stays_behind(tmp_path: Path) -> None:
    _, promises = doctor("--data", str(tmp_path))
    assert len(promises) == 5
    # Where temporary files are kept in memory, that is found too.
    assert {what for what, holds in promises.items() if not holds} <= {ON_DISK}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no directory in memory here")
def test_a_directory_in_memory_is_refused() -> None:
    status, promises = doctor("--data", "/dev/shm")
    assert status == 1
    assert [what for what, holds in promises.items() if not holds] == [ON_DISK]


@pytest.mark.parametrize(
    "arguments", [[], ["--store", "memory://", "--data", "."], ["--store", "ftp://x/y"]]
)
def test_what_cannot_be_tried_is_a_usage_error_or_said_in_a_line(arguments: list[str]) -> None:
    ran = CliRunner().invoke(app, ["doctor", *arguments])
    assert ran.exit_code in (1, 2)
    assert "expected" in ran.stderr
