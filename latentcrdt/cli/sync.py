"""``latentcrdt sync A B``: make two replicas equal, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, error_console, print_json, printable, size
from latentcrdt.cli.progress import counting
from latentcrdt.client import Client
from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.sync.exchange import Round
from latentcrdt.core.sync.peer import Peer
from latentcrdt.errors import StateNotFoundError

MAX_SHOWN = 10
"""Members left behind that are named; the rest are counted."""

First = Annotated[
    str, typer.Argument(metavar="A", help="A server (http://HOST:PORT) or a data directory.")
]
Second = Annotated[
    str,
    typer.Argument(metavar="B", help="Another one. A directory that does not exist yet is made."),
]


def sync(first: First, second: Second, as_json: JsonOption = False) -> None:
    """Make two replicas equal: each gets what only the other has.

    A directory must not be in use by a server: name the server instead. Servers that ask for a
    token get LATENTCRDT_TOKEN; it needs the scope sync on all states.
    """
    # A replica loads numpy, and the command line should start without it.
    from latentcrdt.replication.anti_entropy import synchronise  # noqa: PLC0415

    if not _is_url(first) and not Path(first).is_dir():
        raise StateNotFoundError(f"{first}: expected a server's address or a data directory")
    with _opened(first) as here, _opened(second) as there, counting("copying") as on_progress:
        done = synchronise(here, there, on_progress=on_progress)
    print_json(_document(done)) if as_json else _print(done, first, second)
    if done.has_failures:
        raise typer.Exit(1)


@contextmanager
def _opened(where: str) -> Iterator[Peer]:
    if _is_url(where):
        with Client(where) as client:
            yield RemotePeer(client)
    else:
        from latentcrdt.replication.local_peer import LocalPeer  # noqa: PLC0415
        from latentcrdt.replication.replica import Replica  # noqa: PLC0415
        from latentcrdt.store.directory import DirectoryStore  # noqa: PLC0415

        with closing(Replica(DirectoryStore(where))) as replica:
            yield LocalPeer(replica)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _print(done: Round, first: str, second: str) -> None:
    out = console()
    for copied, target in ((done.taken, first), (done.given, second)):
        moved = size(copied.num_bytes)
        out.print(f"{target}: {copied.num_copied} new members, {moved} moved", markup=False)
    verdict = "equal" if done.is_equal else "not equal: something was left behind or added since"
    out.print(f"the two are {verdict}")
    failures = done.taken.failures | done.given.failures
    for (name, fragment_id), error in list(failures.items())[:MAX_SHOWN]:
        line = f"left behind: {name} {fragment_id} [{error.code}] {printable(error.message)}"
        error_console().print(line, markup=False, soft_wrap=True)
    if len(failures) > MAX_SHOWN:
        error_console().print(f"... and {len(failures) - MAX_SHOWN} more")


def _document(done: Round) -> dict[str, object]:
    failures = done.taken.failures | done.given.failures
    return {
        "is_equal": done.is_equal,
        "first": {"new_members": done.taken.num_copied, "bytes": done.taken.num_bytes},
        "second": {"new_members": done.given.num_copied, "bytes": done.given.num_bytes},
        "left_behind": [
            {"state": name, "id": str(fragment_id), "code": error.code, "message": error.message}
            for (name, fragment_id), error in failures.items()
        ],
    }
