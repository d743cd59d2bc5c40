"""Anti-entropy in the background: one thread a peer, a round a second while all goes well."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import structlog

from latentcrdt.client.blocking import Client
from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.sync.exchange import Bookmark, Round
from latentcrdt.core.sync.peer import Peer
from latentcrdt.errors import InternalError, LatentCRDTError
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt_server.documents import PeerDocument
from latentcrdt_server.peer_metrics import without_credentials

LONGEST_WAIT_S = 15.0
"""Between rounds with a peer that does not answer."""

COMPARE_EVERY_S = 600.0
"""How often roots are compared although the feeds say all: finds what was lost here meanwhile."""

log = structlog.get_logger("latentcrdt_server")


class Neighbour:
    """One peer of this server, and how the two stand."""

    def __init__(self, url: str, here: Peer, interval_s: float) -> None:
        self._url = url
        self._here = here
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._stopped = False
        self._bookmark: Bookmark | None = None
        self._compare_at = 0.0
        self._failed_in_a_row = 0
        self._document: PeerDocument = {
            "url": without_credentials(url),
            "is_equal": None,
            "last_contact": None,
            "error": None,
            "num_differing": 0,
            "bytes_received": 0,
            "bytes_sent": 0,
        }

    @property
    def document(self) -> PeerDocument:
        """How the two stand, for whoever asks."""
        return self._document

    def run(self) -> None:
        """Keep the two equal until stopped."""
        # Retries are rounds of their own, with the waits of `_wait_s`.
        with Client(self._url, attempts=2) as client:
            there = RemotePeer(client)
            while not self._stopped:
                self._wake.clear()
                try:
                    self._note(self._round(there))
                except LatentCRDTError as error:
                    self._note_failure(error)
                except Exception:
                    # A bug must not end the thread unseen: the peer would look equal for ever.
                    log.exception("cannot synchronise", peer=self._document["url"])
                    self._note_failure(InternalError("a bug; the log has its traceback"))
                self._wake.wait(self._wait_s())

    def recheck(self) -> None:
        """Compare roots, and look for lost fragments, in the next round, which is now."""
        self._compare_at = 0.0
        self._wake.set()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopped = True
        self._wake.set()

    def _round(self, there: Peer) -> Round:
        if time.monotonic() >= self._compare_at:
            self._bookmark = None
            self._compare_at = time.monotonic() + COMPARE_EVERY_S
        return synchronise(self._here, there, self._bookmark, on_progress=self._note_progress)

    def _note_progress(self, done: int, total: int) -> None:
        self._document = {**self._document, "num_differing": total - done}

    def _note(self, done: Round) -> None:
        self._bookmark = done.bookmark
        failures = done.taken.failures | done.given.failures
        self._failed_in_a_row = self._failed_in_a_row + 1 if failures else 0
        first = next(iter(failures.values()), None)
        if done.taken.num_copied or done.given.num_copied or failures:
            report = log.warning if failures else log.debug
            report(
                "synchronised",
                peer=self._document["url"],
                taken=done.taken.num_copied,
                given=done.given.num_copied,
                left=len(failures),
                error=None if first is None else f"{first.code}: {first}",
            )
        self._document = {
            **self._document,
            "is_equal": done.is_equal,
            "last_contact": time.time(),
            "error": None if first is None else first.code,
            "num_differing": len(failures),
            "bytes_received": self._document["bytes_received"] + done.taken.num_bytes,
            "bytes_sent": self._document["bytes_sent"] + done.given.num_bytes,
        }

    def _note_failure(self, error: LatentCRDTError) -> None:
        if not self._failed_in_a_row:
            log.warning(
                "cannot synchronise", peer=self._document["url"], code=error.code, error=str(error)
            )
        self._failed_in_a_row += 1
        self._document = {**self._document, "is_equal": None, "error": error.code}

    def _wait_s(self) -> float:
        """Return the seconds until the next round: twice as long after each that failed."""
        if self._stopped:
            return 0.0
        wait_s = min(self._interval_s * 2.0 ** min(self._failed_in_a_row, 16), LONGEST_WAIT_S)
        return wait_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing


class Peering:
    """All peers of a server."""

    def __init__(self, neighbours: Sequence[Neighbour]) -> None:
        self._neighbours = neighbours

    def documents(self) -> list[PeerDocument]:
        """Return how this replica stands with each peer."""
        return [neighbour.document for neighbour in self._neighbours]

    def recheck(self) -> None:
        """Have every peer asked for what was lost here."""
        for neighbour in self._neighbours:
            neighbour.recheck()


@contextmanager
def peering(urls: Sequence[str], here: Peer, interval_s: float) -> Iterator[Peering]:
    """Synchronise with peers in threads while the block runs."""
    neighbours = [Neighbour(url, here, interval_s) for url in urls]
    with ExitStack() as running:
        for neighbour in neighbours:
            thread = threading.Thread(target=neighbour.run, name="peering", daemon=True)
            running.callback(thread.join)
            thread.start()
        try:
            yield Peering(neighbours)
        finally:
            for neighbour in neighbours:
                neighbour.stop()
