"""Fragments fetched in parts, at once, and a few layers of one; all clients alike."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import pytest

from latentcrdt import AsyncClient
from latentcrdt.client import received_body
from latentcrdt.client.flows import fetching
from latentcrdt.client.received_body import FileBody, MemoryBody
from latentcrdt.client.wire import Settings
from latentcrdt.core.documents import plan_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import place
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.sections_reader import SectionsReader
from latentcrdt.errors import (
    BusyError,
    DigestMismatchError,
    FragmentNotFoundError,
    InvalidRequestError,
    RangeNotSatisfiableError,
    TooLargeError,
    TruncatedError,
    UnexpectedAnswerError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.client.conftest import Driven, flows_ended
from tests.client.scripted_server import Asked, holding, http, json_http, problem

FRAGMENT = make_fragment(1, geometry=make_geometry(num_layers=8, head_dim=64), seq_len=40)
FILE = FRAGMENT.to_bytes()
ID = FRAGMENT.fragment_id
BODY = len(FRAGMENT.framing)
PART_BYTES = BODY + 5000
CONNECTIONS = 4


def ranges() -> list[range]:
    """What is asked for: the beginning, and the parts of the rest, each of whole sections."""
    reader = SectionsReader(FRAGMENT.header)
    reader.feed(FRAGMENT.body[:5000])
    parts = reader.split(CONNECTIONS)
    return [
        range(PART_BYTES),
        *(range(BODY + part.offset, BODY + part.stop) for part in parts),
    ]


RANGES = ranges()
SPELLED = [f"bytes={r.start}-{r[-1]}" for r in RANGES]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(fetching, "PART_BYTES", PART_BYTES)


@pytest.fixture
def connect(make_client, script):
    """Any client, told to use several connections."""
    return partial(make_client, script.url, connections=CONNECTIONS)


def but(number: int, reply):
    """What a right server answers, but to the first question for one of the ranges."""
    right, is_wrong = holding(FRAGMENT), iter([True])

    def replying(asked: Asked) -> bytes:
        if asked.headers["range"] == SPELLED[number] and next(is_wrong, False):
            return reply(asked)
        return right(asked)

    return [replying] * 20


def part_of(number: int, content: bytes | None = None, **headers: str | int):
    """The answer to a range, with its own content or another."""
    found = RANGES[number]
    content = FILE[found.start : found.stop] if content is None else content
    span = f"bytes {found.start}-{found.start + len(content) - 1}/{len(FILE)}"
    fields = {"content_range": span, "etag": f'"{ID}"', **headers}
    return lambda _: http(206, content, **fields)


def flipped(number: int, position: int) -> bytes:
    changed = bytearray(FILE[RANGES[number].start : RANGES[number].stop])
    changed[position] ^= 1
    return bytes(changed)


def test_the_fragment_takes_as_many_parts_as_there_are_connections():
    assert len(RANGES) == 1 + CONNECTIONS
    assert RANGES[-1].stop == len(FILE)


def test_within_one_machine_there_is_one_connection_unless_more_are_asked_for(make_client, script):
    script.replies = [holding(FRAGMENT)] * 20
    with make_client(script.url) as client:
        assert client.fetch(ID).to_bytes() == FILE
        client.fetch_layers(ID, "0:8")
    whole, header, layers = script.asked
    assert "range" not in whole.headers
    assert header.headers["range"] == "bytes=0-65535"
    assert layers.headers["range"] == f"bytes={BODY}-{len(FILE) - 1}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", 1),
        ("http://localhost:8000", 1),
        ("http://[::1]:8000", 1),
        ("http://10.0.0.7:8000", 4),
        ("https://kv.example.org", 4),
    ],
)
def test_over_a_network_there_are_several_connections(url, expected):
    assert Settings(url).num_connections == expected
    assert Settings(url, connections=3).num_connections == 3


@pytest.mark.parametrize("connections", [0, -1])
def test_no_connection_at_all_is_refused(make_client, connections):
    with pytest.raises(InvalidRequestError):
        make_client("http://127.0.0.1:1", connections=connections)


def test_a_large_fragment_is_fetched_in_parts(connect, script):
    script.replies = [holding(FRAGMENT)] * 20
    done: list[tuple[int, int]] = []
    with connect() as client:
        fragment = client.fetch(ID, on_progress=lambda *args: done.append(args))
    assert fragment.to_bytes() == FILE
    first, *parts = [asked.headers["range"] for asked in script.asked]
    assert first == SPELLED[0]
    assert sorted(parts) == sorted(SPELLED[1:])
    assert done == sorted(set(done))
    assert done[-1] == (len(FILE), len(FILE))


def test_a_file_is_written_in_parts(connect, script, tmp_path):
    script.replies = [holding(FRAGMENT)] * 20
    with connect() as client:
        client.fetch_to(ID, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == FILE
    assert len(script.asked) == len(RANGES)


def test_what_fits_the_first_question_takes_no_other(connect, script, monkeypatch):
    monkeypatch.setattr(fetching, "PART_BYTES", len(FILE))
    script.replies = [holding(FRAGMENT)] * 20
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    assert len(script.asked) == 1


def test_a_rest_that_is_small_is_one_part(connect, script, monkeypatch):
    monkeypatch.setattr(fetching, "PART_BYTES", len(FILE) - 10)
    script.replies = [holding(FRAGMENT)] * 20
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    asked = [asked.headers["range"] for asked in script.asked]
    assert asked == [f"bytes=0-{len(FILE) - 11}", f"bytes={len(FILE) - 10}-{len(FILE) - 1}"]


def test_a_header_that_is_longer_than_a_part_is_fetched_with_all_the_rest(
    connect, script, monkeypatch, tmp_path
):
    monkeypatch.setattr(fetching, "PART_BYTES", BODY - 100)
    script.replies = [holding(FRAGMENT)] * 20
    done: list[int] = []
    with connect() as client:
        client.fetch_to(ID, tmp_path / "file", on_progress=lambda now, _: done.append(now))
    assert (tmp_path / "file").read_bytes() == FILE
    assert [asked.headers.get("range") for asked in script.asked] == [f"bytes=0-{BODY - 101}", None]
    assert done == sorted(set(done))
    assert done[-1] == len(FILE)


def test_a_server_without_ranges_sends_the_whole_at_once(connect, script):
    script.replies = [http(200, FILE)]
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    assert len(script.asked) == 1


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_part_goes_on_where_its_connection_broke(connect, script, number):
    content = FILE[RANGES[number].start :][:1000]
    span = f"bytes {RANGES[number].start}-{RANGES[number][-1]}/{len(FILE)}"
    broken = part_of(number, content, content_length=len(RANGES[number]), content_range=span)
    script.replies = but(number, broken)
    done: list[int] = []
    with connect() as client:
        fragment = client.fetch(ID, on_progress=lambda now, _: done.append(now))
    assert fragment.to_bytes() == FILE
    asked = [asked.headers["range"] for asked in script.asked]
    assert f"bytes={RANGES[number].start + 1000}-{RANGES[number][-1]}" in asked
    assert len(asked) == len(RANGES) + 1
    assert done == sorted(set(done))


@pytest.mark.parametrize("number", [1, 3])
def test_a_part_without_a_strong_etag_starts_again(connect, script, number):
    content = FILE[RANGES[number].start :][:1000]
    weak = part_of(number, content, content_length=len(RANGES[number]), etag='W/"x"')
    script.replies = but(number, weak)
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    asked = [asked.headers["range"] for asked in script.asked]
    assert asked.count(SPELLED[number]) == 2


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize("position", [-1, 0])
def test_a_flipped_bit_in_any_part_is_found(connect, script, tmp_path, number, position):
    at = BODY if number == 0 and position == 0 else position
    script.replies = but(number, part_of(number, flipped(number, at)))
    with (
        connect() as client,
        pytest.raises(DigestMismatchError),
    ):
        client.fetch_to(ID, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (lambda _: problem(404, "fragment_not_found"), FragmentNotFoundError),
        (lambda _: http(200, FILE), UnexpectedAnswerError),
        (part_of(2, FILE[RANGES[2].start : RANGES[2].stop - 1]), TruncatedError),
        (part_of(2, FILE[RANGES[2].start : RANGES[2].stop + 1]), TruncatedError),
        (
            part_of(2, content_range=f"bytes 0-{len(RANGES[2]) - 1}/{len(FILE)}"),
            UnexpectedAnswerError,
        ),
        (part_of(2, content_range="bytes */5"), UnexpectedAnswerError),
    ],
    ids=["gone", "whole", "short", "long", "another part", "no range"],
)
def test_a_wrong_answer_for_a_part_is_refused(connect, script, reply, error):
    script.replies = but(2, reply)
    with connect() as client, pytest.raises(error):
        client.fetch(ID)


@pytest.mark.parametrize("total", [len(FILE) - 1, len(FILE) + 1])
def test_a_file_of_another_length_than_its_header_says_is_refused(connect, script, total):
    script.replies = [part_of(0, content_range=f"bytes 0-{PART_BYTES - 1}/{total}")({})]
    with connect() as client, pytest.raises(TruncatedError):
        client.fetch(ID)
    assert len(script.asked) == 1


# Servers that are busy, silent, or break off.


def test_a_part_that_a_busy_server_refuses_is_fetched_when_the_others_have_come(connect, script):
    """Refused as often as it is tried beside the others: four times."""
    right, refusals = holding(FRAGMENT), iter([problem(429, "busy", retry_after=0)] * 4)

    def reply(asked: Asked) -> bytes:
        busy = next(refusals, None) if asked.headers["range"] == SPELLED[2] else None
        return busy or right(asked)

    script.replies = [reply] * 20
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    asked = [asked.headers["range"] for asked in script.asked]
    assert asked.count(SPELLED[2]) == 5
    assert asked[-1] == SPELLED[2]


def test_a_server_that_stays_busy_is_reported(connect, script):
    right = holding(FRAGMENT)

    def reply(asked: Asked) -> bytes:
        is_part = asked.headers["range"] != SPELLED[0]
        return problem(429, "busy", retry_after=0) if is_part else right(asked)

    script.replies = [reply] * 99
    with connect() as client, pytest.raises(BusyError):
        client.fetch(ID)


def test_a_part_that_fails_ends_the_call_although_another_is_silent(connect, script):
    """Nothing more is asked for on behalf of a call that has failed."""
    right, silent, is_silent = holding(FRAGMENT), threading.Event(), threading.Event()

    def reply(asked: Asked) -> bytes:
        if asked.headers["range"] == SPELLED[2]:
            is_silent.set()
            silent.wait(20)
            return b""  # the end of the connection: worth another attempt
        if asked.headers["range"] == SPELLED[3]:
            assert is_silent.wait(10)
            return problem(404, "fragment_not_found")
        return right(asked)

    script.replies = [reply] * 20
    with connect() as client:
        with pytest.raises(FragmentNotFoundError):
            client.fetch(ID)
        silent.set()
        flows_ended()
    assert [asked.headers["range"] for asked in script.asked].count(SPELLED[2]) == 1


def test_nothing_is_reported_after_a_call_has_failed(connect, script, tmp_path):
    """One part is refused while another is being reported."""
    begun, inside = threading.Event(), []

    def refuse(_asked: Asked) -> bytes:
        assert begun.wait(10)
        return problem(404, "fragment_not_found")

    def slow(done: int, _total: int) -> None:
        inside.append(True)
        if done > PART_BYTES:
            begun.set()
            time.sleep(0.3)
        inside.pop()

    script.replies = but(3, refuse)
    with connect() as client:
        with pytest.raises(FragmentNotFoundError):
            client.fetch_to(ID, tmp_path / "file", on_progress=slow)
        assert begun.is_set()
        assert not inside  # to close the client would wait for its threads


def chunked_without_an_end(status: int, content: bytes, content_range: str = "") -> bytes:
    """An answer as from a proxy that sends in chunks and breaks off before it says: no more."""
    lines = ["transfer-encoding: chunked", "connection: close", f'etag: "{ID}"']
    lines += [f"content-range: {content_range}"] if content_range else []
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", f"{len(content):x}", ""])
    return head.encode() + content + b"\r\n"


@pytest.mark.parametrize("number", [0, 2])
def test_a_part_that_broke_behind_its_last_byte_is_asked_for_again(connect, script, number):
    content = FILE[RANGES[number].start : RANGES[number].stop]
    span = f"bytes {RANGES[number].start}-{RANGES[number][-1]}/{len(FILE)}"
    script.replies = but(number, lambda _: chunked_without_an_end(206, content, span))
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    assert [asked.headers["range"] for asked in script.asked].count(SPELLED[number]) == 2


def test_a_beginning_that_was_all_and_broke_behind_it_is_asked_for_again(
    connect, script, monkeypatch
):
    monkeypatch.setattr(fetching, "PART_BYTES", 2 * len(FILE))
    span = f"bytes 0-{len(FILE) - 1}/{len(FILE)}"
    script.replies = [chunked_without_an_end(206, FILE, span), holding(FRAGMENT)]
    with connect() as client:
        assert client.fetch(ID).to_bytes() == FILE
    assert len(script.asked) == 2


def test_a_whole_that_broke_behind_its_last_byte_is_fetched_again(make_client, script):
    nothing = problem(416, "range_not_satisfiable")
    script.replies = [chunked_without_an_end(200, FILE), nothing, holding(FRAGMENT)]
    with make_client(script.url) as client:
        assert client.fetch(ID).to_bytes() == FILE
    asked = [asked.headers.get("range") for asked in script.asked]
    assert asked == [None, f"bytes={len(FILE)}-", None]


def fragments_of_a_render(num: int) -> tuple[list[Fragment], RenderPlan]:
    made = [make_fragment(i, geometry=FRAGMENT.header.geometry, seq_len=9) for i in range(num)]
    ordered = sorted(made, key=lambda fragment: (sort_key(fragment), fragment.fragment_id))
    return made, place([fragment.header for fragment in ordered])


@pytest.mark.parametrize("num", [2, 6])
def test_no_more_is_asked_for_at_once_than_there_are_connections(connect, script, num):
    """Of several fragments, each in parts, and of their sizes."""
    fragments, plan = fragments_of_a_render(num)
    right, lock, full, inside, most = holding(*fragments), threading.Lock(), threading.Event(), 0, 0

    def reply(asked: Asked) -> bytes:
        nonlocal inside, most
        if "/plan" in asked.path:
            return json_http(200, plan_document(plan))
        with lock:
            inside += 1
            most = max(most, inside)
        if inside == min(CONNECTIONS, num):
            full.set()
        assert full.wait(20)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return right(asked)

    script.replies = [reply] * 999
    held = {fragment.fragment_id: fragment for fragment in fragments}
    with connect() as client:
        rendered = client.render("s", where="client", on_progress=lambda *_: None)
    assert rendered.to_bytes() == render(plan, held).to_bytes()
    assert most <= CONNECTIONS


def test_a_server_that_is_busy_is_not_asked_for_everything(connect, script):
    """Each flow that is under way is tried four times, and one of them alone four times more."""
    _, plan = fragments_of_a_render(40)
    busy = problem(429, "busy", retry_after=0)
    script.replies = [json_http(200, plan_document(plan)), *[busy] * 999]
    with connect() as client, pytest.raises(BusyError):
        client.render("s", where="client")
    assert len(script.asked) <= 1 + 4 * CONNECTIONS + 4


def test_progress_ends_where_it_should_although_parts_were_refused(connect, script):
    """Twelve refusals make a fragment fail: of each of two parts four, and of the first alone."""
    fragments, plan = fragments_of_a_render(2)
    right, refusals = holding(*fragments), iter([problem(429, "busy", retry_after=0)] * 24)

    def reply(asked: Asked) -> bytes:
        if "/plan" in asked.path:
            return json_http(200, plan_document(plan))
        is_later = not asked.headers.get("range", "bytes=0-").startswith("bytes=0-")
        return (next(refusals, None) if is_later else None) or right(asked)

    script.replies = [reply] * 999
    done: list[tuple[int, int]] = []
    with connect() as client:
        client.render("s", where="client", on_progress=lambda *args: done.append(args))
    total = sum(fragment.num_bytes for fragment in fragments)
    assert next(refusals, None) is None
    assert done == sorted(set(done))
    assert done[-1] == (total, total)


def test_an_event_loop_that_ends_waits_for_the_threads_of_a_call(script, tmp_path, monkeypatch):
    """A task that is left behind is cancelled: its thread is not to write to a closed file."""
    begun, errors = threading.Event(), []
    put = FileBody.put

    def slow(self: FileBody, offset: int, data: memoryview) -> None:
        begun.set()
        time.sleep(0.2)
        try:
            put(self, offset, data)
        except ValueError as error:
            errors.append(error)

    async def main() -> None:
        client = AsyncClient(script.url, connections=CONNECTIONS)
        tasks.append(asyncio.create_task(client.fetch_to(ID, tmp_path / "file")))
        await asyncio.to_thread(begun.wait, 10)

    tasks: list[asyncio.Task[object]] = []
    monkeypatch.setattr(FileBody, "put", slow)
    script.replies = [holding(FRAGMENT)] * 20
    asyncio.run(main())
    assert tasks[0].cancelled()
    assert errors == []
    assert list(tmp_path.iterdir()) == []


# What memory and files are taken.


def test_the_headers_of_a_render_count_as_well_as_its_rows(connect, script):
    """A sliding layer keeps one row of any number of tokens; the header holds all of their ids."""
    geometry = make_geometry(num_layers=1, windows=(2,))
    fragments = [
        make_fragment(i, geometry=geometry, seq_len=5000, token_ids=[i] * 5000) for i in range(9)
    ]
    ordered = sorted(fragments, key=lambda f: (sort_key(f), f.fragment_id))
    plan = json_http(200, plan_document(place([fragment.header for fragment in ordered])))
    assert all(fragment.num_bytes > 20_000 > fragment.body.nbytes for fragment in fragments)
    script.replies = [plan, *[holding(*fragments)] * 99]
    with connect(max_render_bytes=50_000) as client, pytest.raises(TooLargeError):
        client.render("s", where="client")


def test_memory_is_claimed_and_taken_once_although_an_attempt_starts_afresh():
    claimed: list[int] = []
    body = MemoryBody(claimed.append)
    body.begin(FRAGMENT.header)
    body.put(0, FRAGMENT.body[:100])
    body.begin(FRAGMENT.header)
    assert claimed == [len(FILE)]
    assert body.bytes[:100] == FRAGMENT.body[:100]


def test_memory_that_may_not_be_had_is_not_taken(monkeypatch):
    def refuse(_num_bytes: int) -> None:
        raise TooLargeError("too much")

    monkeypatch.setattr(received_body, "result_memory", lambda _: pytest.fail("memory was taken"))
    with pytest.raises(TooLargeError):
        MemoryBody(refuse).begin(FRAGMENT.header)


def test_a_file_that_starts_afresh_keeps_nothing_of_the_attempt_before(tmp_path):
    longer = make_fragment(2, geometry=FRAGMENT.header.geometry, seq_len=90)
    with (tmp_path / "file").open("xb+") as file:
        body = FileBody(file)
        body.begin(longer.header)
        body.put(0, longer.body)
        body.begin(FRAGMENT.header)
        body.put(0, FRAGMENT.body)
    assert (tmp_path / "file").read_bytes() == FILE


def test_threads_do_not_write_into_the_parts_of_each_other(tmp_path):
    header = FRAGMENT.header
    content = FRAGMENT.body

    def write(part: int) -> None:
        for start in range(part * 64, len(content), 4 * 64):
            body.put(start, content[start : start + 64])

    for attempt in range(20):
        path = tmp_path / str(attempt)
        with path.open("xb+") as file:
            body = FileBody(file)
            body.begin(header)
            threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert path.read_bytes() == FILE


def test_an_event_loop_does_not_wait_for_the_disk(connect, script, tmp_path, monkeypatch):
    threads = set()
    put = FileBody.put

    def watched(self: FileBody, offset: int, data: memoryview) -> None:
        threads.add(threading.current_thread())
        put(self, offset, data)

    monkeypatch.setattr(FileBody, "put", watched)
    script.replies = [holding(FRAGMENT)] * 20
    with connect() as client:
        client.fetch_to(ID, tmp_path / "file")
        if isinstance(client, Driven):
            assert threading.main_thread() not in threads
    assert threads


# A few layers.


@pytest.mark.parametrize(("layers", "chosen"), [("2:4", range(2, 4)), (":", range(8)), ("7:", [7])])
def test_layers_are_fetched_without_the_others(connect, script, layers, chosen):
    script.replies = [holding(FRAGMENT)] * 20
    done: list[tuple[int, int]] = []
    with connect() as client:
        found = client.fetch_layers(ID, layers, on_progress=lambda *args: done.append(args))
    assert found.header == FRAGMENT.header
    for layer in chosen:
        assert found.keys(layer) == FRAGMENT.keys(layer)
        assert found.values(layer) == FRAGMENT.values(layer)
    num_bytes = sum(FRAGMENT.keys(i).nbytes + FRAGMENT.values(i).nbytes for i in chosen)
    assert found.body.nbytes == num_bytes
    assert done[-1] == (num_bytes, num_bytes)


def test_a_layer_that_was_not_asked_for_is_none_of_them(connect, script):
    script.replies = [holding(FRAGMENT)] * 20
    with connect() as client:
        found = client.fetch_layers(ID, "2:4")
    for layer in (1, 4, -1):
        with pytest.raises(RangeNotSatisfiableError):
            found.keys(layer)


def test_a_flipped_bit_in_a_layer_is_found(connect, script):
    changed = bytearray(FRAGMENT.body)
    changed[FRAGMENT.header.values_section(2).offset] ^= 1
    script.replies = [holding(Fragment(FRAGMENT.header, memoryview(changed)))] * 20
    with (
        connect() as client,
        pytest.raises(DigestMismatchError) as caught,
    ):
        client.fetch_layers(ID, "2:3")
    assert (caught.value.details["layer"], caught.value.details["part"]) == (2, "values")


@pytest.mark.parametrize(
    ("layers", "error"),
    [
        ("7:9", RangeNotSatisfiableError),
        ("3:3", RangeNotSatisfiableError),
        ("x", InvalidRequestError),
    ],
)
def test_layers_that_there_are_none_of_are_refused(connect, script, layers, error):
    script.replies = [holding(FRAGMENT)]
    with connect() as client, pytest.raises(error):
        client.fetch_layers(ID, layers)
    assert len(script.asked) == 1


def test_layers_over_the_limit_take_no_memory(connect, script, monkeypatch):
    monkeypatch.setattr(received_body, "result_memory", lambda _: pytest.fail("memory was taken"))
    script.replies = [holding(FRAGMENT)]
    with (
        connect(max_fragment_bytes=FRAGMENT.keys(0).nbytes) as client,
        pytest.raises(TooLargeError),
    ):
        client.fetch_layers(ID, "0:1")
    assert len(script.asked) == 1
