"""What the client makes of servers that lie, stumble or are not there; both clients alike."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import stamina

from latentcrdt import Client
from latentcrdt.client.flows import fetching
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.plan_checks import pinned
from latentcrdt.core.documents import plan_document, receipt_document
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import (
    BusyError,
    ConnectionFailedError,
    DigestMismatchError,
    InvalidRequestError,
    MalformedError,
    StateRetractedError,
    StoreFailedError,
    TooLargeError,
    TruncatedError,
    UnauthorizedError,
    UnexpectedAnswerError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.client.scripted_server import holding, http, json_http, problem, refused_url

FRAGMENT = make_fragment(1, geometry=make_geometry(head_dim=64), seq_len=500)
FILE = FRAGMENT.to_bytes()
ID = FRAGMENT.fragment_id
PUSHED = json_http(201, {"id": str(ID), "created": True})
NOT_HELD = problem(404, "fragment_not_found")


def test_a_refused_connection_is_tried_again_and_then_reported(make_client):
    with make_client(refused_url()) as client, pytest.raises(ConnectionFailedError) as caught:
        client.states()
    assert "/v1/states" in str(caught.value)


def test_a_busy_server_is_asked_again_after_the_time_it_names(make_client, script):
    busy = problem(429, "busy", retry_after=0)
    script.replies = [busy, busy, json_http(200, {"created": True})]
    with make_client(script.url) as client:
        assert client.declare("s") is True
    assert len(script.asked) == 3


def test_the_attempts_of_one_call_have_one_id_and_calls_have_different_ones(make_client, script):
    script.replies = [problem(429, "busy", retry_after=0), json_http(200, {"states": []})] * 2
    with make_client(script.url) as client:
        client.states()
        client.states()
    first, again, second, _ = [asked.headers["x-request-id"] for asked in script.asked]
    assert first == again != second


def test_the_time_that_a_busy_server_names_is_waited(make_client, script):
    """Really waited: longer than the first backoff of our own, which is at most 0.3 s."""
    script.replies = [problem(429, "busy", retry_after=0.7), json_http(200, {"created": True})]
    with stamina.set_testing(False), make_client(script.url) as client:
        before = time.monotonic()
        client.declare("s")
        assert time.monotonic() - before > 0.69


def test_a_server_that_stays_busy_is_reported(make_client, script):
    script.replies = [problem(429, "busy", retry_after=0)] * 9
    with make_client(script.url) as client, pytest.raises(BusyError):
        client.states()
    assert len(script.asked) == 4


def test_a_wait_of_an_hour_is_not_waited(make_client, script):
    script.replies = [problem(503, "store_failed", retry_after=3600)] * 2
    with make_client(script.url) as client, pytest.raises(StoreFailedError):
        client.states()
    assert len(script.asked) == 1


def test_a_redirection_is_not_followed(make_client, script):
    script.replies = [http(302, location=f"{script.url}/elsewhere")]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError) as caught:
        client.fetch(ID)
    assert caught.value.details["location"].endswith("/elsewhere")
    assert len(script.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe", b'{"code": 5}', b"[]", b"null"])
def test_garbage_instead_of_a_problem_is_an_unexpected_answer(make_client, script, body):
    script.replies = [http(400, body, content_type="application/problem+json")]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError):
        client.states()


def test_a_compressed_answer_is_refused(make_client, script):
    script.replies = [http(200, b"xx", content_encoding="gzip")]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="gzip"):
        client.states()


def test_the_token_is_sent_and_never_quoted(make_client, script):
    script.replies = [problem(401, "unauthorized")]
    client = make_client(script.url, token="s3cret")
    with client, pytest.raises(UnauthorizedError) as caught:
        client.states()
    assert script.asked[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)


def test_the_token_comes_from_the_environment_otherwise(make_client, script, monkeypatch):
    monkeypatch.setenv("LATENTCRDT_TOKEN", "from-env")
    script.replies = [json_http(200, {"states": []})]
    with make_client(script.url) as client:
        client.states()
    assert script.asked[0].headers["authorization"] == "Bearer from-env"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://h:port", "x"])
def test_an_address_that_is_none_is_refused_at_once(make_client, url):
    with pytest.raises(InvalidRequestError):
        make_client(url)


# Fragments.


def test_a_fetch_goes_on_where_the_connection_broke(make_client, script):
    etag = f'"{ID}"'
    broken = http(200, FILE[:1000], content_length=len(FILE), etag=etag)

    def rest(asked):
        assert asked.headers["range"] == "bytes=1000-"
        assert asked.headers["if-range"] == etag
        span = f"bytes 1000-{len(FILE) - 1}/{len(FILE)}"
        return http(206, FILE[1000:], content_range=span, etag=etag)

    script.replies = [broken, rest]
    done: list[int] = []
    with make_client(script.url) as client:
        fragment = client.fetch(ID, on_progress=lambda now, _: done.append(now))
    assert fragment.to_bytes() == FILE
    assert done == sorted(set(done))
    assert done[-1] == len(FILE)


def test_a_fetch_starts_again_when_the_server_does(make_client, script):
    broken = http(200, FILE[:1000], content_length=len(FILE), etag=f'"{ID}"')
    script.replies = [broken, http(200, FILE, etag=f'"{ID}"')]
    done: list[int] = []
    with make_client(script.url) as client:
        fragment = client.fetch(ID, on_progress=lambda now, _: done.append(now))
    assert fragment.to_bytes() == FILE
    assert done == sorted(set(done))


@pytest.mark.parametrize(
    "headers",
    [
        {"content_range": "bytes 0-9/10", "etag": f'"{ID}"'},
        {"content_range": f"bytes 1000-{len(FILE) - 1}/{len(FILE)}", "etag": '"other"'},
        {"etag": f'"{ID}"'},
    ],
)
def test_a_rest_of_something_else_is_refused(make_client, script, headers):
    broken = http(200, FILE[:1000], content_length=len(FILE), etag=f'"{ID}"')
    script.replies = [broken, http(206, FILE[1000:], **headers)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError):
        client.fetch(ID)


def test_a_connection_that_breaks_every_time_is_reported(make_client, script):
    script.replies = [http(200, FILE[:100], content_length=len(FILE))] * 9
    with make_client(script.url) as client, pytest.raises(ConnectionFailedError):
        client.fetch(ID)
    assert len(script.asked) == 4


@pytest.mark.parametrize("body", [FILE[:-1], FILE[:100], FILE[:5], b"", FILE + b"x"])
def test_a_fragment_of_another_length_is_refused(make_client, script, body):
    script.replies = [http(200, body)]
    with make_client(script.url) as client, pytest.raises(TruncatedError):
        client.fetch(ID)


def test_a_flipped_bit_is_refused(make_client, script):
    wrong = bytearray(FILE)
    wrong[-1] ^= 1
    script.replies = [http(200, bytes(wrong))]
    with make_client(script.url) as client, pytest.raises(DigestMismatchError):
        client.fetch(ID)
    assert len(script.asked) == 1


def test_another_fragment_than_the_one_asked_for_is_refused(make_client, script):
    script.replies = [http(200, make_fragment(2).to_bytes())]
    with make_client(script.url) as client, pytest.raises(DigestMismatchError):
        client.fetch(ID)


def test_a_fragment_beyond_the_limit_is_refused_before_memory_is_taken(make_client, script):
    script.replies = [http(200, FILE)]
    client = make_client(script.url, max_fragment_bytes=len(FILE) - 1)
    with client, pytest.raises(TooLargeError):
        client.fetch(ID)


def test_a_file_appears_only_when_it_is_whole(make_client, script, tmp_path):
    path = tmp_path / "fragment"
    wrong = bytearray(FILE)
    wrong[-1] ^= 1
    broken = http(200, FILE[:1000], content_length=len(FILE))
    script.replies = [http(200, bytes(wrong)), broken, http(200, FILE)]
    with make_client(script.url) as client:
        with pytest.raises(DigestMismatchError):
            client.fetch_to(ID, path)
        assert list(tmp_path.iterdir()) == []
        assert client.fetch_to(ID, path).fragment_id == ID
    assert path.read_bytes() == FILE
    assert list(tmp_path.iterdir()) == [path]


def test_an_earlier_file_stays_when_the_fetch_fails(make_client, script, tmp_path):
    path = tmp_path / "fragment"
    path.write_text("before")
    script.replies = [problem(404, "fragment_not_found")]
    with make_client(script.url) as client, pytest.raises(KeyError):
        client.fetch_to(ID, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


# Pushes.


def test_a_push_is_sent_again_whole_after_a_broken_connection(make_client, script):
    question = [] if make_client is Client else [NOT_HELD]
    script.replies = [*question, b"", problem(503, "busy", retry_after=0), PUSHED]
    done: list[int] = []
    with make_client(script.url) as client:
        result = client.push("s", FRAGMENT, on_progress=lambda now, _: done.append(now))
    assert (result.created, result.sent) == (True, True)
    assert [asked.body for asked in script.asked[len(question) :]] == [FILE] * 3
    assert script.asked[-1].headers["content-length"] == str(len(FILE))
    assert script.asked[-1].headers["fragment-id"] == str(ID)
    assert done == sorted(set(done))
    assert done[-1] == len(FILE)


def test_a_fragment_that_the_server_holds_costs_one_small_call(make_client, script):
    script.replies = [json_http(201, {"id": str(ID), "state": "s", "created": True})]
    script.invites = False
    done: list[tuple[int, int]] = []
    with make_client(script.url) as client:
        result = client.push("s", FRAGMENT, on_progress=lambda *args: done.append(args))
    assert (result.fragment_id, result.created, result.sent) == (ID, True, False)
    method = "POST" if make_client is Client else "PUT"
    assert [(asked.method, asked.body) for asked in script.asked] == [(method, b"")]
    assert done == [(len(FILE), len(FILE))]


def test_a_refused_push_costs_one_small_call(make_client, script):
    script.replies = [problem(410, "state_retracted")]
    script.invites = False
    done: list[int] = []
    with make_client(script.url) as client, pytest.raises(StateRetractedError):
        client.push("s", FRAGMENT, on_progress=lambda now, _: done.append(now))
    assert [asked.body for asked in script.asked] == [b""]
    assert done == []


def test_a_small_fragment_is_sent_without_asking(make_client, script):
    small = make_fragment(3)
    script.replies = [json_http(200, {"id": str(small.fragment_id), "created": False})]
    with make_client(script.url) as client:
        assert client.push("s", small).created is False
    assert [asked.method for asked in script.asked] == ["POST"]
    assert "expect" not in script.asked[0].headers


# Renders.

GEOMETRY = make_geometry(head_dim=16)
PAIR = sorted((make_fragment(seed, geometry=GEOMETRY) for seed in (4, 5)), key=sort_key)
HELD = {fragment.fragment_id: fragment for fragment in PAIR}
PLAN = place([fragment.header for fragment in PAIR])
STREAM = render(PLAN, HELD).to_bytes()
SWAPPED = place([fragment.header for fragment in PAIR[::-1]])


def receipt(plan):
    keys = tuple(sort_key(HELD[p.fragment_id]) for p in plan.placements)
    digests = tuple(run_digests(plan, HELD))
    return json_http(200, receipt_document(Receipt(plan, keys, digests)))


def test_a_render_is_checked_against_its_receipt(make_client, script):
    script.replies = [http(200, STREAM), receipt(PLAN)]
    done: list[int] = []
    with make_client(script.url) as client:
        answer = client.render("s", on_progress=lambda now, _: done.append(now))
    assert answer.to_bytes() == STREAM
    assert done == sorted(set(done))
    assert done[-1] == len(STREAM)


def test_a_render_in_another_order_than_the_keys_is_not_believed(make_client, script):
    script.replies = [http(200, render(SWAPPED, HELD).to_bytes()), receipt(SWAPPED)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="canonical"):
        client.render("s")


def test_a_render_placed_elsewhere_than_the_layout_says_is_not_believed(make_client, script):
    shifted = tuple(replace(p, new_start=p.new_start + 7) for p in PLAN.placements)
    plan = replace(PLAN, placements=shifted)
    script.replies = [http(200, render(plan, HELD).to_bytes()), receipt(plan)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="placed"):
        client.render("s")


def test_an_order_too_long_for_a_url_is_refused_before_it_is_sent(make_client, script):
    order = tuple(FragmentId(n.to_bytes(32, "little")) for n in range(1100))
    with make_client(script.url) as client, pytest.raises(InvalidRequestError, match="URL"):
        client.plan("s", RenderQuery(order=order))
    assert script.asked == []


def test_one_wrong_byte_of_a_render_is_found(make_client, script):
    wrong = bytearray(STREAM)
    wrong[-1] ^= 1
    script.replies = [http(200, bytes(wrong)), receipt(PLAN)]
    with make_client(script.url) as client, pytest.raises(DigestMismatchError) as caught:
        client.render("s")
    assert (caught.value.details["layer"], caught.value.details["part"]) == (2, "values")


def test_a_state_that_grows_between_render_and_receipt_is_pinned_by_its_ids(make_client, script):
    def pinned_receipt(asked):
        assert f"order={'%2C'.join(str(f.fragment_id) for f in PAIR)}" in asked.path
        return receipt(PLAN)

    script.replies = [http(200, STREAM), receipt(SWAPPED), pinned_receipt]
    with make_client(script.url) as client:
        assert client.render("s").to_bytes() == STREAM
    assert len(script.asked) == 3


def test_a_render_that_does_not_want_to_be_verified_costs_one_call(make_client, script):
    script.replies = [http(200, STREAM)]
    with make_client(script.url) as client:
        client.render("s", verify=False)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (STREAM[:-1], TruncatedError),
        (STREAM + b"x", TruncatedError),
        (STREAM[:10], TruncatedError),
        (b"", TruncatedError),
        (FILE, MalformedError),
    ],
)
def test_a_render_of_another_shape_is_refused(make_client, script, body, error):
    script.replies = [http(200, body)]
    with make_client(script.url) as client, pytest.raises(error):
        client.render("s")


def test_a_render_beyond_the_limit_is_refused_before_memory_is_taken(make_client, script):
    script.replies = [http(200, STREAM)]
    client = make_client(script.url, max_render_bytes=len(STREAM) - 1)
    with client, pytest.raises(TooLargeError):
        client.render("s")


def test_a_render_goes_on_where_the_connection_broke(make_client, script):
    cut = len(STREAM) - 100
    span = f"bytes {cut}-{len(STREAM) - 1}/{len(STREAM)}"
    script.replies = [
        http(200, STREAM[:cut], content_length=len(STREAM), etag=f'"{PLAN.etag}"'),
        http(206, STREAM[cut:], content_range=span, etag=f'"{PLAN.etag}"'),
        receipt(PLAN),
    ]
    with make_client(script.url) as client:
        assert client.render("s").to_bytes() == STREAM


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (RenderQuery(layout=Layout.PARALLEL), "layout"),
        (RenderQuery(order=pinned(SWAPPED).order), "order"),
        (RenderQuery(layers="0:1"), "layers"),
        (RenderQuery(class_id=type(PLAN.class_id)(bytes(32))), "class"),
    ],
)
def test_a_render_that_was_not_asked_for_is_refused(make_client, script, query, named):
    script.replies = [http(200, STREAM)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match=named):
        client.render("s", query)


# Renders made here.


def test_a_local_render_fetches_what_is_not_held(make_client, script):
    script.replies = [json_http(200, plan_document(PLAN)), http(200, PAIR[1].to_bytes())]
    held = {PAIR[0].fragment_id: PAIR[0]}
    with make_client(script.url) as client:
        answer = client.render("s", where="client", held=held)
    assert answer.to_bytes() == STREAM
    assert [asked.path for asked in script.asked] == [
        "/v1/states/s/plan",
        f"/v1/fragments/{PAIR[1].fragment_id}",
    ]


def test_a_local_render_reports_all_its_bytes(make_client, script):
    script.replies = [json_http(200, plan_document(PLAN)), *[holding(*PAIR)] * 4]
    done: list[tuple[int, int]] = []
    with make_client(script.url) as client:
        client.render("s", where="client", on_progress=lambda *args: done.append(args))
    total = sum(fragment.num_bytes for fragment in PAIR)
    assert done == sorted(set(done))
    assert done[-1] == (total, total)


def test_a_wrong_canonical_order_is_not_believed(make_client, script):
    script.replies = [json_http(200, plan_document(SWAPPED))]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="order"):
        client.render("s", where="client", held=HELD)


def test_a_wrong_render_id_is_not_believed(make_client, script):
    wrong = {**plan_document(PLAN), "render_id": "0" * 64}
    script.replies = [json_http(200, wrong)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="0" * 64):
        client.render("s", where="client", held=HELD)


def test_a_fragment_listed_twice_is_not_rendered_twice(make_client, script):
    twice = place([PAIR[0].header, PAIR[0].header])
    script.replies = [json_http(200, plan_document(twice))]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="once"):
        client.render("s", where="client", held=HELD)


@pytest.mark.parametrize(
    "document", [{}, [], None, {**json.loads(json.dumps(plan_document(PLAN))), "fragments": 3}]
)
def test_a_plan_of_another_shape_is_an_unexpected_answer(make_client, script, document):
    script.replies = [json_http(200, document)]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError):
        client.render("s", where="client")


# Renders made here, with a cache.


def test_a_cache_spares_what_was_fetched_before(make_client, script, tmp_path):
    script.replies = [json_http(200, plan_document(PLAN)), *[holding(*PAIR)] * 2]
    with make_client(script.url, cache=FragmentCache(tmp_path)) as client:
        assert client.render("s").to_bytes() == STREAM
    script.replies = [json_http(200, plan_document(PLAN))]
    with make_client(script.url, cache=FragmentCache(tmp_path)) as another:
        assert another.render("s").to_bytes() == STREAM
    assert [asked.path for asked in script.asked][3:] == ["/v1/states/s/plan"]


def test_what_is_damaged_in_a_cache_is_fetched_again(make_client, script, tmp_path):
    cache = FragmentCache(tmp_path)
    for fragment in PAIR:
        cache.put(fragment)
    victim = tmp_path / str(PAIR[1].fragment_id)
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    script.replies = [json_http(200, plan_document(PLAN)), http(200, PAIR[1].to_bytes())]
    with make_client(script.url, cache=cache) as client:
        assert client.render("s").to_bytes() == STREAM
    assert cache.get(PAIR[1].fragment_id) is not None


@pytest.mark.parametrize(
    ("sources", "query", "here"),
    [
        ({}, RenderQuery(), False),
        ({"held": HELD}, RenderQuery(), True),
        ({"held": HELD}, RenderQuery(layers="0:1"), False),
        ({"held": HELD, "where": "server"}, RenderQuery(), False),
        ({"where": "client"}, RenderQuery(layers="0:1"), True),
    ],
)
def test_a_render_is_made_where_less_has_to_be_sent(make_client, script, sources, query, here):
    script.replies = [http(404, b"")]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError):
        client.render("s", query, **sources)
    assert script.asked[0].path.startswith(f"/v1/states/s/{'plan' if here else 'render'}")


# Renders made here, with an earlier one in hand.

EARLIER = render(place([PAIR[0].header]), HELD)
GROWN = json_http(200, plan_document(PLAN))
NEW = http(200, PAIR[1].to_bytes())
OLD_KEYS = PAIR[0].header.keys_section(1)
OLD_RANGE = range(len(PAIR[0].framing) + OLD_KEYS.offset, len(PAIR[0].framing) + OLD_KEYS.stop)


def header_of(fragment, stop=None):
    return http(206, fragment.to_bytes()[:stop])


def old_keys(change=lambda keys: keys, start=OLD_RANGE.start):
    keys = change(bytes(PAIR[0].keys(1)))
    span = f"bytes {start}-{start + len(keys) - 1}/{PAIR[0].num_bytes}"
    return http(206, keys, content_range=span)


def test_what_an_earlier_render_holds_is_not_fetched(make_client, script):
    script.replies = [GROWN, NEW, header_of(PAIR[0]), old_keys()]
    with make_client(script.url) as client:
        answer = client.render("s", where="client", previous=EARLIER)
    assert answer.to_bytes() == STREAM
    assert [asked.path for asked in script.asked] == [
        "/v1/states/s/plan",
        f"/v1/fragments/{PAIR[1].fragment_id}",
        f"/v1/fragments/{PAIR[0].fragment_id}",
        f"/v1/fragments/{PAIR[0].fragment_id}",
    ]
    assert [asked.headers["range"] for asked in script.asked[2:]] == [
        "bytes=0-65535",
        f"bytes={OLD_RANGE.start}-{OLD_RANGE[-1]}",
    ]


def test_a_fragment_that_has_moved_is_fetched_after_all(make_client, script):
    moved = render(place([PAIR[1].header]), HELD)  # at 0; in PLAN it stands behind the other
    script.replies = [GROWN, http(200, PAIR[0].to_bytes()), header_of(PAIR[1]), NEW]
    with make_client(script.url) as client:
        answer = client.render("s", where="client", previous=moved)
    assert answer.to_bytes() == STREAM
    assert len(script.asked) == 4


def test_a_header_longer_than_the_first_guess_is_asked_for_again(make_client, script, monkeypatch):
    monkeypatch.setattr(fetching, "HEADER_GUESS_BYTES", 100)
    stop = 16 + len(PAIR[0].header.encoded)
    first, second = header_of(PAIR[0], 100), header_of(PAIR[0], stop)
    script.replies = [GROWN, NEW, first, second, old_keys()]
    with make_client(script.url) as client:
        assert client.render("s", where="client", previous=EARLIER).to_bytes() == STREAM
    asked = [a.headers.get("range") for a in script.asked]
    assert asked[2:4] == ["bytes=0-99", f"bytes=0-{stop - 1}"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (http(206, PAIR[1].to_bytes()), DigestMismatchError),
        (header_of(PAIR[0], 100), TruncatedError),
        (header_of(PAIR[0], 3), TruncatedError),
        (http(206, b"x" * 70_000), UnexpectedAnswerError),
        (http(200, PAIR[0].to_bytes()), UnexpectedAnswerError),
        (http(206, b"no fragment at all"), MalformedError),
    ],
    ids=["another", "cut", "cut early", "too long", "whole", "no fragment"],
)
def test_a_wrong_header_is_refused(make_client, script, reply, error):
    script.replies = [GROWN, NEW, reply]
    with make_client(script.url) as client, pytest.raises(error):
        client.render("s", where="client", previous=EARLIER)


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (old_keys(lambda keys: keys[:-1]), TruncatedError),
        (old_keys(lambda keys: keys + b"x"), TruncatedError),
        (old_keys(lambda keys: b"x" + keys[1:]), DigestMismatchError),
        (old_keys(lambda keys: keys[:-1] + b"x"), DigestMismatchError),
        (old_keys(start=OLD_RANGE.start + 1), UnexpectedAnswerError),
        (http(200, PAIR[0].to_bytes()), UnexpectedAnswerError),
    ],
    ids=["short", "long", "first byte", "last byte", "other bytes", "all bytes"],
)
def test_wrong_keys_are_refused(make_client, script, keys, error):
    script.replies = [GROWN, NEW, header_of(PAIR[0]), keys]
    with make_client(script.url) as client, pytest.raises(error):
        client.render("s", where="client", previous=EARLIER)


def test_a_wrong_order_is_not_believed_although_a_fragment_is_reused(make_client, script):
    last = render(SWAPPED, HELD)
    script.replies = [json_http(200, plan_document(SWAPPED)), *[holding(*PAIR)] * 4]
    with make_client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="canonical"):
        client.render("s", where="client", previous=last)


# Receipts.


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d["plan"].update(next_position=1), DigestMismatchError),
        (lambda d: d.update(order="bag"), DigestMismatchError),
        (lambda d: d["keys"][0].update(key=1.0), DigestMismatchError),
        (lambda d: d["sections"].pop(), DigestMismatchError),
        (lambda d: d["sections"][-1].update(values="0" * 64), DigestMismatchError),
        (lambda d: d.update(sections=3), MalformedError),
    ],
    ids=["next_position", "order", "key", "fewer sections", "last digest", "no sections"],
)
def test_a_receipt_that_says_anything_wrong_is_refused(make_client, script, change, error):
    keys = tuple(sort_key(HELD[p.fragment_id]) for p in PLAN.placements)
    document = receipt_document(Receipt(PLAN, keys, tuple(run_digests(PLAN, HELD))))
    change(document)
    script.replies = [http(200, STREAM), json_http(200, document)]
    with make_client(script.url) as client, pytest.raises(error):
        client.render("s")
