"""Batch memory: lent again, and to nobody else while anyone can see it."""

from latentcrdt_server.batch_memory import BATCH_BYTES, batch_memory


def test_memory_is_lent_again_once_its_last_view_is_gone() -> None:
    memory = batch_memory()
    memory[:4] = b"mine"
    part = memory[2:4]
    del memory
    others = [batch_memory() for _ in range(10)]
    for other in others:
        other[:4] = b"hers"
    assert part == b"ne"
    del part
    assert bytes(batch_memory()[:4]) == b"mine"


def test_only_so_much_memory_rests() -> None:
    loans = [batch_memory() for _ in range(20)]
    for loan in loans:
        loan[:1] = b"x"
    loans.clear()
    used = [bool(memory[0]) for memory in [batch_memory() for _ in range(20)]]
    assert sum(used) == 8
    assert len(batch_memory()) == BATCH_BYTES
