"""A cluster under faults, driven by one seed: the real session, replica and store code.

Each run chooses among pushes, retractions, exchanges a step at a time (many under way at once, so
that they interleave), lost, repeated and late messages, one-way cuts, kills and power cuts in the
midst of a disk operation, disk errors, and one machine that lies. What must hold is in `checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.core.sync.exchange import Bookmark, exchange
from latentcrdt.core.sync.peer import Peer
from latentcrdt.errors import FragmentNotFoundError, LatentCRDTError
from latentcrdt.testing.simulation import checks
from latentcrdt.testing.simulation.disk import GoneError
from latentcrdt.testing.simulation.machine import Machine
from latentcrdt.testing.simulation.network import DistantPeer, LyingPeer, Network
from latentcrdt.testing.simulation.pool import DOOMED, NAMES, POOL
from latentcrdt.testing.simulation.running import RunningExchange

NUM_MACHINES = 3
NUM_EVENTS = 80


class Cluster:
    """Machines, their network, and what was promised to clients."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.network = Network(self.rng)
        self.machines = [Machine(f"m{n}", self.rng) for n in range(NUM_MACHINES)]
        self.liar = Machine("liar", self.rng)
        for fragment in POOL[::2]:
            self.liar.replica.push(NAMES[0], fragment)
        self.is_doomed = False
        """Whether a retraction was acknowledged."""
        self._unfinished: list[tuple[Machine, StateName, Fragment]] = []
        self._running: list[RunningExchange] = []
        self._bookmarks: dict[tuple[str, str], Bookmark | None] = {}

    def run(self) -> None:
        """Let things happen, then let them settle, and check what must hold all along."""
        events: list[tuple[int, Callable[[], None]]] = [
            (10, self._push),
            (6, self._retry),
            (1, self._declare),
            (1, self._retract),
            (6, self._begin_exchange),
            (30, self._step),
            (3, self._repeat_late),
            (3, self._stop),
            (5, self._stop_soon),
            (2, self._fail_disk),
            (8, self._start),
            (2, self._cut),
            (2, self._heal),
        ]
        weights, actions = zip(*events, strict=True)
        for _ in range(NUM_EVENTS):
            (action,) = self.rng.choices(actions, weights)
            action()
        self._settle()
        checks.converged(self.machines, is_doomed=self.is_doomed)

    def _push(self) -> None:
        """A client pushes a fragment."""
        machine = self._choose()
        if machine is not None:
            self._add(machine, self._name(), self.rng.choice(POOL))

    def _retry(self) -> None:
        """A client that got no acknowledgement tries again, on the same machine."""
        if self._unfinished:
            which = self.rng.randrange(len(self._unfinished))
            machine, name, fragment = self._unfinished.pop(which)
            if machine.is_up:
                self._add(machine, name, fragment)

    def _add(self, machine: Machine, name: StateName, fragment: Fragment) -> None:
        """Ask whether the fragment is held, and send it if not; only an answer is a promise."""

        def add() -> None:
            try:
                machine.replica.insert(name, fragment.fragment_id)
            except FragmentNotFoundError:
                machine.replica.push(name, fragment)

        if not self._try(machine, add):
            self._unfinished.append((machine, name, fragment))
        elif name != DOOMED:
            machine.acknowledged.add((name, fragment.fragment_id))

    def _declare(self) -> None:
        machine = self._choose()
        if machine is not None:
            end = self.rng.randint(1, 100)
            self._try(machine, lambda: machine.replica.declare(self._name(), expires_at=end))

    def _retract(self) -> None:
        machine = self._choose()
        if machine is not None:
            self._retract_at(machine)

    def _retract_at(self, machine: Machine) -> None:
        if self._try(machine, lambda: machine.replica.retract(DOOMED)):
            self.is_doomed = True

    def _begin_exchange(self) -> None:
        machine = self._choose()
        if machine is None or len(self._running) >= 6:
            return
        others = [m for m in [*self.machines, self.liar] if m is not machine]
        other = self.rng.choice(others)
        if other is self.liar:
            there: Peer = LyingPeer(self.network, machine.name, other, self.rng)
        else:
            there = DistantPeer(self.network, machine.name, other)
        self._exchange(machine, there, (machine.name, other.name))

    def _exchange(self, machine: Machine, there: Peer, key: tuple[str, str]) -> None:
        steps = exchange(machine.peer, there, self._bookmarks.get(key), salt=self.rng.randbytes(16))
        self._running.append(RunningExchange(machine, steps, key))

    def _step(self) -> None:
        """Take one exchange one step further: one question, or one member copied."""
        if not self._running:
            return
        running = self.rng.choice(self._running)
        machine = running.machine
        if running.is_orphaned:
            self._running.remove(running)
            return
        try:
            running.advance()
        except StopIteration as stop:
            self._bookmarks[running.key] = stop.value.bookmark
            self._running.remove(running)
        except LatentCRDTError:
            self._running.remove(running)  # the bookmark of the round before stays
        except GoneError:
            machine.stop(power_cut=machine.flip())
            self._running.remove(running)

    def _repeat_late(self) -> None:
        """A request that was answered long ago arrives again."""
        if self.network.late:
            machine, action = self.network.late.pop(self.rng.randrange(len(self.network.late)))
            if machine.is_up:
                self._try(machine, action)

    def _stop(self) -> None:
        machine = self._choose()
        if machine is not None:
            machine.stop(power_cut=machine.flip())

    def _stop_soon(self) -> None:
        machine = self._choose()
        if machine is not None:
            machine.stop_within(self.rng.randrange(12))

    def _fail_disk(self) -> None:
        machine = self._choose()
        if machine is not None:
            machine.fail_within(self.rng.randrange(12))

    def _start(self) -> None:
        for machine in [*self.machines, self.liar]:
            if not machine.is_up:
                if self.rng.random() < 0.3:
                    machine.stop_within(self.rng.randrange(30))
                machine.start()
                checks.kept(machine)

    def _cut(self) -> None:
        a, b = self.rng.sample([*self.machines, self.liar], 2)
        self.network.cut(a.name, b.name)

    def _heal(self) -> None:
        self.network.heal()

    def _settle(self) -> None:
        """End all faults; then one round must make two machines equal, however it finds out."""
        self.network.calm()
        self._running.clear()
        for machine in self.machines:
            self._restart(machine)
        first, second, third = self.machines
        self._meet(first, second)
        self._meet(second, third)
        self._meet(first, third)
        self._meet(first, second)  # with a bookmark
        self._add(third, NAMES[0], self.rng.choice(POOL))
        self._retract_at(third)
        self._meet(first, third)  # with a bookmark, and news
        self._restart(third)
        self._add(third, NAMES[1], self.rng.choice(POOL))
        self._meet(first, third)  # with a bookmark that has expired
        self._meet(first, second)

    def _restart(self, machine: Machine) -> None:
        if machine.is_up:
            machine.stop(power_cut=machine.flip())
        while not machine.is_up:
            machine.start()
        checks.kept(machine)

    def _meet(self, machine: Machine, other: Machine) -> None:
        """Run one round to its end, in peace."""
        self._exchange(
            machine, DistantPeer(self.network, machine.name, other), (machine.name, other.name)
        )
        while self._running:
            self._step()
        checks.equal(machine, other)

    def _try(self, machine: Machine, action: Callable[[], object]) -> bool:
        """Act on a machine for a client; whether it was acknowledged."""
        try:
            action()
        except LatentCRDTError:
            return False
        except GoneError:
            machine.stop(power_cut=machine.flip())
            return False
        return True

    def _choose(self) -> Machine | None:
        return self.rng.choice([m for m in self.machines if m.is_up] or [None])

    def _name(self) -> StateName:
        return self.rng.choice(NAMES)
