"""Peers as other machines see them: over a network that loses and repeats, and one that lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TypeVar

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Leaf, Question, SyncAnswer
from latentcrdt.core.sync.peer import Peer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import ConnectionFailedError
from latentcrdt.testing.simulation.disk import GoneError
from latentcrdt.testing.simulation.machine import NUM_SHARDS, Machine

T = TypeVar("T")

LOSS = 0.05
"""How often a message does not arrive, while faults are on."""


class Network:
    """Which machine reaches which, and what happens on the way."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._cut: set[tuple[str, str]] = set()
        self.late: list[tuple[Machine, Callable[[], object]]] = []
        """Requests that will arrive once more, at any time: all of them are idempotent."""
        self.is_faulty = True

    def cut(self, sender: str, receiver: str) -> None:
        """Lose every message one way."""
        self._cut.add((sender, receiver))

    def heal(self) -> None:
        """Let every message through."""
        self._cut.clear()

    def calm(self) -> None:
        """Let every message through, once, from now on."""
        self.heal()
        self.late.clear()
        self.is_faulty = False

    def call(self, sender: str, receiver: Machine, action: Callable[[], T]) -> T:
        """Have a machine do something for another one; ConnectionFailedError if either way fails.

        Then it may have been done all the same.
        """
        self._carry(sender, receiver.name)
        if not receiver.is_up:
            raise ConnectionFailedError(f"{receiver.name} is down")
        try:
            result = action()
            if self.is_faulty and self._rng.random() < LOSS:
                action()  # the message came twice
        except GoneError:
            receiver.stop(power_cut=receiver.flip())
            raise ConnectionFailedError(f"{receiver.name} stopped") from None
        if self.is_faulty and self._rng.random() < LOSS:
            self.late.append((receiver, action))
        self._carry(receiver.name, sender)
        return result

    def _carry(self, sender: str, receiver: str) -> None:
        lost = self.is_faulty and self._rng.random() < LOSS
        if lost or (sender, receiver) in self._cut:
            raise ConnectionFailedError(f"no way from {sender} to {receiver}")


class DistantPeer:
    """A `latentcrdt.core.sync.peer.Peer`: one machine as another one reaches it."""

    def __init__(self, network: Network, sender: str, machine: Machine) -> None:
        self._network = network
        self._sender = sender
        self._machine = machine

    def roots(self, known: Digest | None = None) -> Roots | Cursor:
        """Ask over the network."""
        return self._call(lambda peer: peer.roots(known))

    def changes(self, after: Cursor | None) -> FeedPage:
        """Ask over the network; what comes is decoded from bytes."""
        return FeedPage.decode(self._call(lambda peer: peer.changes(after).encode()))

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Ask over the network."""
        return SyncAnswer.decode(self._call(lambda peer: peer.compare(name, question).encode()))

    def state(self, name: StateName) -> LatentState:
        """Ask over the network."""
        return self._call(lambda peer: peer.state(name))

    def unheld(self) -> list[tuple[StateName, FragmentId]]:
        """Return nothing, as a server does."""
        return []

    def merge(self, name: StateName, bare: LatentState) -> None:
        """Ask over the network."""
        self._call(lambda peer: peer.merge(name, bare))

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Receive a fragment, in pieces."""
        data = self._call(lambda peer: _read(peer, fragment_id))
        for start in range(0, len(data), 500):
            write(data[start : start + 500])

    @contextmanager
    def opened(self, fragment_id: FragmentId) -> Iterator[Fragment]:
        """Receive a fragment whole."""
        yield Fragment.from_buffer(self._call(lambda peer: _read(peer, fragment_id)))

    def take(self, name: StateName, fragment_id: FragmentId, source: Peer) -> int:
        """Send a fragment: it was read here, and is verified there."""
        return self._call(lambda peer: peer.take(name, fragment_id, source))

    def _call(self, ask: Callable[[Peer], T]) -> T:
        return self._network.call(self._sender, self._machine, lambda: ask(self._machine.peer))


class LyingPeer(DistantPeer):
    """A machine that speaks the protocol and means no good: it invents, withholds and forges."""

    def __init__(self, network: Network, sender: str, machine: Machine, rng: Random) -> None:
        super().__init__(network, sender, machine)
        self._rng = rng

    def changes(self, after: Cursor | None) -> FeedPage:
        """Tell of a member that does not exist, and forget another."""
        page = super().changes(after)
        deltas = {}
        for name, delta in page.deltas.items():
            ids = [*delta, self._invent()]
            self._rng.shuffle(ids)
            deltas[name] = LatentState(ids[1:])
        return FeedPage(page.cursor, page.is_last, deltas)

    def compare(self, name: StateName, question: Question) -> SyncAnswer:
        """Invent members below nodes that have few."""
        nodes = list(super().compare(name, question).nodes)
        for i, (prefix, node) in enumerate(zip(question.prefixes, nodes, strict=True)):
            if isinstance(node, Leaf) and self._rng.random() < 0.5:
                text = prefix + str(self._invent())[len(prefix) :]
                nodes[i] = Leaf((*node.ids[1:], FragmentId.parse(text)))
        return SyncAnswer(tuple(nodes))

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        """Send something else than what was asked for."""
        data = bytearray(self._call(lambda peer: _read(peer, fragment_id)))
        kind = self._rng.randrange(4)
        if kind == 0:
            # Half of them near the end, where keys and values are.
            last = self._rng.choice((len(data), 16))
            data[-1 - self._rng.randrange(last)] ^= 1 << self._rng.randrange(8)
        elif kind == 1:
            del data[self._rng.randrange(len(data)) :]
        elif kind == 2:
            data += self._rng.randbytes(3)
        write(bytes(data))

    def _invent(self) -> FragmentId:
        return FragmentId(bytes([self._rng.randrange(NUM_SHARDS)]) + self._rng.randbytes(31))


def _read(peer: Peer, fragment_id: FragmentId) -> bytes:
    with peer.opened(fragment_id) as fragment:
        return fragment.to_bytes()
