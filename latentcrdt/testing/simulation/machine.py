"""One simulated machine: the real replica and the real store on a disk that can lose power."""

from __future__ import annotations

from pathlib import Path
from random import Random

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import StoreFailedError
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.simulation.disk import GoneError, SimulatedDisk

ROOT = Path("/data")

NUM_SHARDS = 8
"""Of a simulated store, so that ids start with 00 to 07: opening 256 directories would take most of
a run's time."""


class Machine:
    """A replica that can be killed, lose power, meet a disk error, and be started again."""

    def __init__(self, name: str, rng: Random) -> None:
        self.name = name
        self._rng = rng
        self._disk = SimulatedDisk(self._before)
        self._replica: Replica | None = None
        self._operations_left: int | None = None
        """Disk operations until the machine stops in the midst of one; None: it does not."""
        self._failing: int | None = None
        """Disk operations until one fails; None: none does."""
        self.acknowledged: set[tuple[StateName, FragmentId]] = set()
        """What this machine promised to keep."""
        self.start()

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self._replica is not None

    @property
    def replica(self) -> Replica:
        """The replica that runs on it; only while it is up."""
        assert self._replica is not None
        return self._replica

    @property
    def peer(self) -> LocalPeer:
        """The replica as others see it."""
        return LocalPeer(self.replica)

    def start(self) -> None:
        """Open the store with what is on the disk; may stop again while it recovers."""
        try:
            self._replica = Replica(DirectoryStore(ROOT, disk=self._disk))
        except GoneError:
            self.stop(power_cut=self.flip())
        except StoreFailedError:
            self.stop(power_cut=False)

    def stop(self, *, power_cut: bool) -> None:
        """End the process, or the whole machine."""
        self._replica = None
        self._operations_left = self._failing = None
        if power_cut:
            self._disk = self._disk.cut_power(self._rng, self._before)
        else:
            self._disk = self._disk.kill(self._before)

    def flip(self) -> bool:
        """Return whether it is the power that fails this time, and not the process."""
        return self._rng.random() < 0.5

    def stop_within(self, num_operations: int) -> None:
        """Stop in the midst of one of the next disk operations."""
        self._operations_left = num_operations

    def fail_within(self, num_operations: int) -> None:
        """Have one of the next disk operations fail with an error."""
        self._failing = num_operations

    def _before(self, operation: str, path: Path) -> None:
        if self._operations_left is not None:
            self._operations_left -= 1
            if self._operations_left < 0:
                raise GoneError
        if self._failing is not None:
            self._failing -= 1
            if self._failing >= 0:
                return
            self._failing = None
            raise OSError(5, "Input/output error", f"{operation} {path}")
