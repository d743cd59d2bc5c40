"""What must hold in every simulated run."""

from __future__ import annotations

from collections.abc import Sequence

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import LatentCRDTError, StateRetractedError
from latentcrdt.testing.simulation.machine import Machine
from latentcrdt.testing.simulation.pool import CONTENT, DOOMED


class ViolationError(AssertionError):
    """Raised when a promise was broken."""


def kept(machine: Machine) -> None:
    """Check a machine that has just started: everything it acknowledged, and nothing unverified."""
    if not machine.is_up:
        return
    for name, fragment_id in sorted(machine.acknowledged):
        where = f"{machine.name}: acknowledged member {fragment_id} of {name!r}"
        try:
            is_member = fragment_id in machine.replica.state(name)
        except LatentCRDTError as error:
            raise ViolationError(f"{where}: {error}") from error
        if not is_member:
            raise ViolationError(f"{where} is no member any more")
        if machine.replica.missing([fragment_id]):
            raise ViolationError(f"{where} is not held any more")
    whole(machine)


def whole(machine: Machine) -> None:
    """Check that whatever a machine shows is content that somebody pushed, bit for bit."""
    for name in machine.replica.states():
        for fragment_id in machine.replica.state(name):
            if fragment_id not in CONTENT:
                raise ViolationError(f"{machine.name}: {fragment_id} was never pushed")
            try:
                data = machine.replica.fragments.get(fragment_id).to_bytes()
            except LatentCRDTError as error:
                raise ViolationError(
                    f"{machine.name}: member {fragment_id} of {name!r}: {error}"
                ) from error
            if data != CONTENT[fragment_id]:
                raise ViolationError(f"{machine.name}: {fragment_id} has other bytes")


def equal(machine: Machine, other: Machine) -> None:
    """Check that two machines have the same states: id by id, no digest is believed."""
    ours, theirs = _states(machine), _states(other)
    if ours != theirs:
        differing = sorted(n for n in {*ours, *theirs} if ours.get(n) != theirs.get(n))
        raise ViolationError(
            f"{machine.name} and {other.name} met in peace and differ in {differing}"
        )


def _states(machine: Machine) -> dict[StateName, LatentState]:
    states = {name: LatentState(retracted=True) for name in machine.replica.roots().states}
    return states | {name: machine.replica.state(name) for name in machine.replica.states()}


def converged(machines: Sequence[Machine], *, is_doomed: bool) -> None:
    """Check the end: every acknowledged member on each machine, what was retracted gone."""
    acknowledged: set[tuple[StateName, FragmentId]] = set()
    for machine in machines:
        acknowledged |= machine.acknowledged
    for machine in machines:
        machine.acknowledged |= acknowledged
        kept(machine)
        if is_doomed:
            _check_retracted(machine)


def _check_retracted(machine: Machine) -> None:
    try:
        machine.replica.state(DOOMED)
    except StateRetractedError:
        return
    raise ViolationError(f"{machine.name}: a retraction that was acknowledged was forgotten")
