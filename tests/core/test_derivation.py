from dataclasses import replace

import pytest
from blake3 import blake3
from msgpack import packb

from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.errors import InvalidRequestError

ONE, OTHER = FragmentId(b"\x01" * 32), FragmentId(b"\x02" * 32)
CLASS = ClassId(b"\x03" * 32)

LEGOLINK = Derivation.of(Operation.REPAIR, "legolink", {"rows": 8, "first": 1}, CLASS, (ONE, OTHER))


def test_the_id_is_the_hash_of_the_documented_array() -> None:
    fields = [
        "latentcrdt.derivation",
        1,
        "repair",
        "legolink",
        [["first", "1"], ["rows", "8"]],
        b"\x03" * 32,
        [b"\x01" * 32, b"\x02" * 32],
    ]
    assert LEGOLINK.derivation_id == blake3(packb(fields)).digest()


def test_everything_that_changes_the_result_changes_the_id() -> None:
    others = [
        replace(LEGOLINK, operation=Operation.MERGE),
        replace(LEGOLINK, method="cacheblend"),
        replace(LEGOLINK, parameters=(("first", "1"), ("rows", "9"))),
        replace(LEGOLINK, class_id=ClassId(b"\x04" * 32)),
        replace(LEGOLINK, inputs=(OTHER, ONE)),
    ]
    ids = {derivation.derivation_id for derivation in (LEGOLINK, *others)}
    assert len(ids) == 1 + len(others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": (("b", "1"), ("a", "1"))}, "ascending name"),
        ({"parameters": (("a", "1"), ("a", "1"))}, "each once"),
        ({"parameters": (("a", "1 000"),)}, "got '1 000'"),
        ({"method": "LegoLink"}, "got 'LegoLink'"),
        ({"method": "legolink\n"}, "expected words"),
        ({"inputs": ()}, "at least one fragment"),
    ],
)
def test_a_second_spelling_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        replace(LEGOLINK, **change)
