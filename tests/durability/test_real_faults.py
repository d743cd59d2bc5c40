"""Short runs of what ``python -m scripts.durability`` does at length, with the real system."""

from __future__ import annotations

import pytest

from scripts.durability.bit_rot import bit_rot
from scripts.durability.full_disks import full_disks
from scripts.durability.power_cuts import power_cuts
from scripts.durability.row import Row
from scripts.durability.system_calls import GROWS, PUSHING, SYNCS, strike_all
from scripts.durability.tracing import MISSING

needs_strace = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def check(*rows: Row) -> None:
    assert [row for row in rows if row.result == "FAILED"] == []
    absent = {row.missing for row in rows if row.missing}
    if absent and all(row.missing for row in rows):
        pytest.skip("; ".join(absent))


@needs_strace
@pytest.mark.parametrize(
    ("effect", "only", "least"),
    [("signal=SIGKILL", None, 20), ("error=EIO", SYNCS, 4), ("error=ENOSPC", GROWS, 4)],
)
def test_a_push_struck_at_its_system_calls_loses_nothing(
    effect: str, only: tuple[str, ...] | None, least: int
) -> None:
    row = Row(effect, PUSHING.name)
    strike_all(PUSHING, row, effect, only=only, sparse=True)
    check(row)
    assert row.points >= least
    assert row.acknowledged > 4 * row.points


def test_a_disk_that_fills_up_refuses_and_goes_on() -> None:
    check(*full_disks())


def test_a_power_cut_at_an_acknowledgement_loses_nothing() -> None:
    check(*power_cuts(2))


def test_every_flipped_bit_is_found_and_healed_from_a_peer() -> None:
    check(bit_rot(40))
