"""A slice goes into a socket whole, from memory or from its file, however little is taken."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from latentcrdt_server import outgoing
from latentcrdt_server.outgoing import Outgoing

from latentcrdt.store.system_disk import SystemDisk
from tests.store.descriptors import descriptors

BYTES = os.urandom(3 * 2**20)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> memoryview:
    monkeypatch.setattr(outgoing, "LEAST_FILE_BYTES", 2**20)
    (tmp_path / "file").write_bytes(BYTES)
    with closing(SystemDisk().open(tmp_path / "file")) as file:
        return file.map()


def sent(slice_: Outgoing, ours: socket.socket, theirs: socket.socket) -> bytes:
    """Send to the end, reading a little whenever the socket is full."""
    received = bytearray()
    while not slice_.is_sent:
        try:
            assert slice_.send_to(ours) > 0
        except BlockingIOError:
            received += theirs.recv(70_000)
    slice_.close()
    ours.shutdown(socket.SHUT_WR)
    while piece := theirs.recv(2**20):
        received += piece
    return bytes(received)


def calls_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    sendfile = os.sendfile

    def counting(out: int, source: int, offset: int, count: int) -> int:
        calls.append(offset)
        return sendfile(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", counting)
    return calls


@pytest.mark.parametrize("start", [0, 5])
def test_a_long_slice_of_a_file_is_sent_by_the_kernel(
    pair: tuple[socket.socket, socket.socket],
    mapped: memoryview,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
) -> None:
    calls = calls_of(monkeypatch)
    assert sent(Outgoing(mapped[start:-7]), *pair) == BYTES[start:-7]
    assert len(calls) > 1
    assert calls[0] == start


@pytest.mark.parametrize("case", ["memory", "short", "removed"])
def test_others_are_sent_from_memory(
    pair: tuple[socket.socket, socket.socket],
    mapped: memoryview,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    case: str,
) -> None:
    calls = calls_of(monkeypatch)
    if case == "removed":
        (tmp_path / "file").unlink()
    slice_ = {"memory": memoryview(BYTES), "short": mapped[: 2**20 - 1], "removed": mapped}[case]
    assert sent(Outgoing(slice_), *pair) == slice_
    assert calls == []


def test_a_file_that_became_shorter_is_an_error_and_no_endless_loop(
    pair: tuple[socket.socket, socket.socket], mapped: memoryview, tmp_path: Path
) -> None:
    slice_ = Outgoing(mapped)
    os.truncate(tmp_path / "file", 2**20)
    with pytest.raises(OSError, match="shorter"):
        sent(slice_, *pair)
    slice_.close()


def test_a_slice_that_is_given_up_leaves_no_descriptor(mapped: memoryview) -> None:
    before = descriptors()
    slice_ = Outgoing(mapped)
    assert len(descriptors()) == len(before) + 1
    slice_.close()
    slice_.close()
    assert descriptors() == before
