"""The set-full checker: histories by hand, an independent checker, and histories that are right."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.errors import MalformedError
from latentcrdt.testing.jepsen import final_reads, set_full
from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import History
from latentcrdt.testing.jepsen.operation import Operation
from latentcrdt.testing.jepsen.recorder import Recorder
from tests.jepsen import naive_set_full
from tests.jepsen.histories import Script, histories, histories_of_a_correct_set

MS = 1_000_000


def test_elements_that_every_later_read_sees_are_stable_without_delay():
    script = Script()
    script.add(0, 1)
    script.read(0, 1)
    found = set_full.check(script.history)
    assert (found.validity, found.num_stable, len(found.stale)) == ("valid", 2, 0)
    assert set(found.stable_latencies_ns.values()) == {0}


def test_an_acknowledged_element_that_the_last_read_misses_is_lost():
    script = Script()
    script.add(0, 1, 2)
    script.read(0, 2)
    found = set_full.check(script.history)
    assert (found.validity, found.lost, found.num_stable) == ("invalid", Elements.of([1]), 2)
    assert found.lost_latencies_ns[1.0] == 0


def test_an_element_that_was_read_and_then_vanishes_is_lost_though_its_add_was_not_acknowledged():
    script = Script()
    script.info(script.begin_add(7))  # at 0 and 1 ms
    script.read(7)  # 2, 3: known
    script.read(7)  # 4, 5
    script.read()  # 6, 7
    found = set_full.check(script.history)
    assert (found.validity, found.lost) == ("invalid", Elements.of([7]))
    assert found.lost_latencies_ns[0.5] == 4 * MS + 1 - 3 * MS


def test_a_stale_element_was_missed_after_it_was_known_and_is_seen_for_good_later():
    script = Script()
    script.add(0, 1)  # known at 1 and 3 ms
    script.read(0)  # 4, 5
    script.read(0)  # 6, 7
    script.read(0, 1)
    found = set_full.check(script.history)
    assert (found.validity, found.stale, len(found.lost)) == ("valid", Elements.of([1]), 0)
    (worst,) = found.worst_stale
    assert (worst.element, worst.latency_ns) == (1, 6 * MS + 1 - 3 * MS)
    assert found.stable_latencies_ns == {0.0: 0, 0.5: 3 * MS + 1} | dict.fromkeys(
        (0.95, 0.99, 1.0), 3 * MS + 1
    )


def test_an_add_that_nobody_can_vouch_for_may_be_missing():
    script = Script()
    script.add(0)
    script.info(script.begin_add(1))
    script.begin_add(2)
    script.read(0)
    found = set_full.check(script.history)
    assert (found.validity, found.never_read) == ("valid", Elements.of([1, 2]))
    assert (found.num_attempted, found.num_acknowledged) == (3, 1)


def test_a_read_that_began_before_the_acknowledgement_may_miss_the_element():
    script = Script()
    add = script.begin_add(0)
    read = script.begin_read()
    script.ok(add)
    script.ok(read)
    assert set_full.check(script.history).never_read == Elements.of([0])


def test_the_order_in_which_reads_began_counts_and_not_that_in_which_they_ended():
    script = Script()
    script.add(0)
    slow = script.begin_read()
    script.read(0)
    script.ok(slow)
    assert set_full.check(script.history).validity == "valid"


def test_an_element_is_known_from_the_first_read_that_ended_even_before_its_acknowledgement():
    script = Script()
    add = script.begin_add(0)
    slow = script.begin_read()
    script.read(0)  # known when it ends, at 3 ms
    script.ok(slow, 0)
    script.read()  # begins at 5 ms
    script.ok(add)
    script.read(0)
    found = set_full.check(script.history)
    assert found.stable_latencies_ns[1.0] == 5 * MS + 1 - 3 * MS


def test_a_history_without_a_read_proves_nothing():
    script = Script()
    script.add(0)
    assert set_full.check(script.history).validity == "unknown"


def test_an_element_that_nobody_added_is_unexpected():
    script = Script()
    script.add(0)
    script.read(0, 9)
    found = set_full.check(script.history)
    assert (found.validity, found.unexpected) == ("invalid", Elements.of([9]))


@given(histories())
def test_an_independent_checker_finds_the_same(history: History):
    expected = naive_set_full.outcomes(history)
    found = set_full.check(history)
    by_outcome = {
        name: Elements.of(e for e, (outcome, _) in expected.items() if outcome == name)
        for name in ("lost", "never read")
    }
    stable = {e: latency for e, (outcome, latency) in expected.items() if outcome == "stable"}
    assert found.lost == by_outcome["lost"]
    assert found.never_read == by_outcome["never read"]
    assert found.num_stable == len(stable)
    assert found.stale == Elements.of(e for e, latency in stable.items() if latency)
    assert (found.stable_latencies_ns or {1.0: None})[1.0] == max(stable.values(), default=None)
    lost = [latency for outcome, latency in expected.values() if outcome == "lost"]
    assert (found.lost_latencies_ns or {0.0: None})[0.0] == min(lost, default=None)


@given(histories_of_a_correct_set())
def test_a_linearizable_set_loses_nothing_and_has_no_stale_read(history: History):
    found = set_full.check(history)
    assert found.validity in ("valid", "unknown")
    assert not list(found.stale)


@given(histories_of_a_correct_set(), st.data())
def test_an_element_taken_out_of_the_last_read_is_reported_lost(history: History, data):
    *before, last = history.operations
    acknowledged = sorted(e for e, add in history.adds().items() if add.acknowledgement)
    if not acknowledged:
        return
    victim = data.draw(st.sampled_from(acknowledged))
    rest = Elements.of(set(last.value) - {victim})
    forged = Operation(last.index, last.time_ns, last.process, "ok", "read", rest, last.server)
    found = set_full.check(History([*before, forged]))
    assert (found.validity, found.lost) == ("invalid", Elements.of([victim]))


def test_a_server_that_ends_without_an_acknowledged_element_is_found_though_another_has_it():
    """As in issue 489 of AntidoteDB: 136 was on the server that took it, and nowhere else."""
    script = Script()
    script.add(135, 136)
    script.read(135, server=0)
    script.read(135, 136, server=1)
    assert set_full.check(script.history).validity == "valid"
    found = final_reads.check(script.history, range(2))
    assert (found.validity, found.missing) == ("invalid", {0: Elements.of([136])})


def test_a_server_that_nobody_read_after_the_last_add_is_named():
    script = Script()
    script.add(0)
    script.read(0, server=1)
    script.read(0, server=0)
    script.add(1)
    script.read(0, 1, server=0)
    found = final_reads.check(script.history, range(2))
    assert (found.validity, found.unread) == ("unknown", (1,))


def test_servers_that_all_end_with_everything_are_valid():
    script = Script()
    script.add(0)
    script.info(script.begin_add(1))
    for server in range(3):
        script.read(0, server=server)
    assert final_reads.check(script.history, range(3)).validity == "valid"
    script.read(0, 1, server=2)
    assert final_reads.check(script.history, range(3)).missing.keys() == {0, 1}


@given(histories())
def test_a_history_is_read_back_as_it_was_written(history: History):
    assert [Operation.from_line(op.to_line()) for op in history.operations] == list(
        history.operations
    )


def test_the_recorder_writes_what_it_remembers(tmp_path):
    path = tmp_path / "history.jsonl"
    with path.open("w") as file:
        recorder = Recorder(file, lambda: 0)  # a clock that stands still
        recorder.end(recorder.begin(0, "add", 2, 5), "ok")
        recorder.note("kill", "server 1")
        recorder.end(recorder.begin(1, "read", 0), "fail", error="refused")
    assert History.load(path).operations == recorder.history().operations
    assert [op.time_ns for op in recorder.operations] == [0, 1, 2, 3, 4]
    assert recorder.history().faults() == [recorder.operations[2]]


@given(st.sets(st.integers(-10, 30)))
def test_elements_have_one_spelling(numbers: set[int]):
    elements = Elements.of(numbers)
    assert (set(elements), len(elements)) == (numbers, len(numbers))
    assert elements == Elements.of(sorted(numbers, reverse=True))
    assert len(elements.runs) == sum(n - 1 not in numbers for n in numbers)


@pytest.mark.parametrize("runs", [((2, 1),), ((1, 2), (3, 4)), ((5, 6), (1, 2))])
def test_runs_that_are_spelled_otherwise_are_refused(runs):
    with pytest.raises(MalformedError):
        Elements(runs)


def line(index: int, process: int, type_: str, f: str = "read", **more: object) -> Operation:
    return Operation(index, more.pop("time", index), process, type_, f, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        ([line(1, 0, "invoke")], "index 0"),
        ([line(0, 0, "invoke"), line(1, 0, "ok", time=0)], "after 0 ns"),
        ([line(0, 0, "ok")], "not begun"),
        ([line(0, 0, "invoke"), line(1, 0, "invoke")], "no known end"),
        ([line(0, 0, "invoke"), line(1, 0, "info"), line(2, 0, "invoke")], "no known end"),
        ([line(0, 0, "invoke", "add", value=1), line(1, 0, "ok")], "not begun"),
        ([line(i, i, "invoke", "add", value=1) for i in (0, 1)], "added once"),
    ],
)
def test_histories_that_no_processes_can_have_made_are_refused(operations, why):
    with pytest.raises(MalformedError, match=why):
        History(operations)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"index":0,"time":0,"process":0,"type":"done","f":"read"}',
     '{"index":0,"time":0,"process":0,"type":"ok","f":"read","value":[[1]]}'],
)  # fmt: skip
def test_lines_that_are_no_operation_are_refused(text):
    with pytest.raises(MalformedError, match="expected"):
        Operation.from_line(text)


def test_an_add_of_nothing_and_a_read_of_no_set_are_refused():
    recorder = Recorder(io.StringIO())
    recorder.end(recorder.begin(0, "add", 0), "ok")
    recorder.end(recorder.begin(0, "read", 0), "ok")
    for look in (recorder.history().adds, recorder.history().reads):
        with pytest.raises(MalformedError, match="expected"):
            look()
