"""What is sent and received over connections of our own, where the other way has no such thing."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from latentcrdt import Client
from latentcrdt.client.direct.connections import PIECE_BYTES, is_reached_directly
from latentcrdt.client.direct.invitation import hear
from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import (
    ConnectionFailedError,
    DigestMismatchError,
    ForbiddenError,
    TooLargeError,
    UnexpectedAnswerError,
)
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.client.listening import listening, read_head, wait_for_the_end
from tests.client.scripted_server import ScriptedServer, http, json_http, problem, serving

GEOMETRY = make_geometry(head_dim=128, num_kv_heads=8)
LARGE = make_fragment(1, geometry=GEOMETRY, seq_len=700)
FILE = LARGE.to_bytes()
ID = LARGE.fragment_id
ETAG = f'"{ID}"'


def test_the_fragment_is_of_many_pieces():
    assert len(FILE) > 8 * PIECE_BYTES


INVITATION = b"HTTP/1.1 100 Continue\r\n\r\n"


def read_body(connection: socket.socket, num_bytes: int, begun: bytes = b"") -> bytes:
    body = bytearray(begun)
    while len(body) < num_bytes and (data := connection.recv(65536)):
        body += data
    return bytes(body)


@pytest.mark.parametrize("cut", [3 * PIECE_BYTES + 17, len(FILE) - 1, 100])
def test_a_large_fetch_goes_on_where_the_connection_broke(script, cut):
    def rest(asked):
        start = int(asked.headers["range"].removeprefix("bytes=").removesuffix("-"))
        span = f"bytes {start}-{len(FILE) - 1}/{len(FILE)}"
        assert start == cut
        return http(206, FILE[start:], content_range=span, etag=ETAG)

    script.replies = [http(200, FILE[:cut], content_length=len(FILE), etag=ETAG), rest]
    done: list[int] = []
    with Client(script.url) as client:
        fragment = client.fetch(ID, on_progress=lambda now, _: done.append(now))
    assert fragment.to_bytes() == FILE
    assert done == sorted(set(done))
    assert done[-1] == len(FILE)


@pytest.mark.parametrize("position", [-1, len(FILE) // 2, 100_000])
def test_a_flipped_bit_of_a_large_body_is_found(script, position):
    wrong = bytearray(FILE)
    wrong[position] ^= 1
    script.replies = [http(200, bytes(wrong))]
    with Client(script.url) as client, pytest.raises(DigestMismatchError):
        client.fetch(ID)
    assert len(script.asked) == 1


def test_a_wrong_section_is_refused_although_the_rest_never_comes():
    """The socket is closed at once: else the server waits for as long as the error is looked at."""
    wrong = bytearray(FILE)
    wrong[100_000] ^= 1

    def stall(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(http(200, bytes(wrong[:-1]), content_length=len(FILE)))
        wait_for_the_end(connection)

    with (
        listening(stall) as url,
        Client(url, timeout_s=600) as client,
        pytest.raises(DigestMismatchError),
    ):
        client.fetch(ID)


def test_progress_is_reported_on_the_thread_that_asked(script):
    script.replies = [http(200, FILE)]
    threads = set()
    with Client(script.url) as client:
        client.fetch(ID, on_progress=lambda *_: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_an_error_of_the_one_who_watches_is_passed_on(script):
    script.replies = [http(200, FILE)]

    def watch(done: int, _total: int) -> None:
        if done > 4 * PIECE_BYTES:
            raise ZeroDivisionError

    with Client(script.url) as client, pytest.raises(ZeroDivisionError):
        client.fetch(ID, on_progress=watch)


def test_a_progress_bar_that_breaks_is_no_broken_connection(script):
    def watch(_done: int, _total: int) -> None:
        raise BrokenPipeError

    with Client(script.url) as client, pytest.raises(BrokenPipeError) as caught:
        client.push("s", LARGE, on_progress=watch)
    assert type(caught.value) is BrokenPipeError
    assert len(script.asked) <= 2  # the half that was sent may have been seen


def test_a_body_in_chunks_is_taken_as_well(script):
    size = 1_000_003
    pieces = [FILE[i : i + size] for i in range(0, len(FILE), size)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n"
    script.replies = [head + chunked]
    with Client(script.url) as client:
        assert client.fetch(ID).to_bytes() == FILE


@pytest.fixture(scope="module")
def huge() -> Fragment:
    """More than what the sockets of both ends hold between them."""
    section = bytes(2 * 8 * 128 * 30_000)
    geometry = make_geometry(num_layers=1, head_dim=128, num_kv_heads=8)
    return Fragment.build(geometry, [(section, section)], start=0, seq_len=30_000)


def test_a_refusal_is_read_while_the_body_is_sent(huge):
    """The server takes the head alone; it would never take the rest, nor close."""

    def refuse(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(INVITATION)
        connection.recv(1)
        connection.sendall(problem(413, "too_large"))
        released.wait(30)

    released = threading.Event()
    done: list[int] = []
    with listening(refuse) as url, Client(url, timeout_s=600) as client:
        with pytest.raises(TooLargeError):
            client.push("s", huge, on_progress=lambda now, _: done.append(now))
        released.set()
    assert max(done, default=0) < huge.num_bytes / 2


def test_a_server_that_stops_taking_a_body_is_given_up(huge):
    def stall(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(INVITATION)
        released.wait(30)

    released = threading.Event()
    with listening(stall) as url, Client(url, timeout_s=0.2, attempts=1) as client:
        with pytest.raises(ConnectionFailedError, match="no byte was taken"):
            client.push("s", huge)
        released.set()


# Invitations.

PUSHED = json_http(201, {"id": str(ID), "created": True})
HELD = json_http(200, {"id": str(ID), "created": False})


def test_an_invited_body_follows_on_the_same_connection():
    bodies = []

    def invite(connection: socket.socket) -> None:
        head = read_head(connection)
        assert b"expect: 100-continue\r\n" in head.lower()
        assert head.endswith(b"\r\n\r\n")
        connection.sendall(INVITATION)
        bodies.append(read_body(connection, len(FILE)))
        connection.sendall(PUSHED)

    with listening(invite) as url, Client(url) as client:
        result = client.push("s", LARGE)
    assert (result.created, result.sent) == (True, True)
    assert bodies == [FILE]


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (problem(403, "forbidden"), ForbiddenError),
        (problem(413, "too_large"), TooLargeError),
        (b"HTTP/1.0 413 Too Large\r\n\r\n", UnexpectedAnswerError),
        (HELD, None),
    ],
)
def test_a_body_that_nobody_wants_is_not_sent(answered, error):
    rest = []

    def answer(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answered)
        connection.shutdown(socket.SHUT_WR)
        rest.append(read_body(connection, len(FILE)))

    with listening(answer) as url, Client(url) as client:
        if error is None:
            result = client.push("s", LARGE)
            assert (result.created, result.sent) == (False, False)
        else:
            with pytest.raises(error):
                client.push("s", LARGE)
    assert rest == [b""]


def test_an_invitation_may_come_in_parts():
    def invite(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_head(connection)
        for part in (INVITATION[:5], INVITATION[5:14], b" x\r\nname: value", b"\r\n\r\n"):
            connection.sendall(part)
        assert read_body(connection, len(FILE)) == FILE
        connection.sendall(PUSHED)

    with listening(invite) as url, Client(url) as client:
        assert client.push("s", LARGE).sent


def test_a_server_that_says_nothing_gets_the_body_and_is_not_waited_for_again(monkeypatch):
    monkeypatch.setattr("latentcrdt.client.direct.connections.hear", lambda sock: hear(sock, 0.05))
    heads = []

    def take(connection: socket.socket) -> None:
        head, _, begun = read_head(connection).partition(b"\r\n\r\n")
        heads.append(head.lower())
        assert read_body(connection, len(FILE), begun) == FILE
        connection.sendall(PUSHED)

    def not_held(connection: socket.socket) -> None:
        heads.append(read_head(connection).lower())
        connection.sendall(problem(404, "fragment_not_found"))

    with listening(take, not_held, take) as url, Client(url) as client:
        assert client.push("s", LARGE).sent
        assert client.push("s", LARGE).sent
    assert [head.split()[0] for head in heads] == [b"post", b"put", b"post"]
    assert [b"expect:" in head for head in heads] == [True, False, False]


def test_an_invitation_that_comes_late_is_no_answer(monkeypatch):
    monkeypatch.setattr("latentcrdt.client.direct.connections.hear", lambda sock: hear(sock, 0))

    def take(connection: socket.socket) -> None:
        _, _, begun = read_head(connection).partition(b"\r\n\r\n")
        begun += connection.recv(65536)
        connection.sendall(INVITATION)
        assert read_body(connection, len(FILE), begun) == FILE
        connection.sendall(PUSHED)

    with listening(take) as url, Client(url) as client:
        assert client.push("s", LARGE).created


def test_a_server_that_expects_nothing_gets_the_body_all_the_same():
    def refuse(connection: socket.socket) -> None:
        assert b"expect" in read_head(connection).lower()
        connection.sendall(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
        wait_for_the_end(connection)

    def take(connection: socket.socket) -> None:
        head, _, begun = read_head(connection).partition(b"\r\n\r\n")
        assert b"expect" not in head.lower()
        assert read_body(connection, len(FILE), begun) == FILE
        connection.sendall(PUSHED)

    with listening(refuse, take) as url, Client(url, attempts=1) as client:
        assert client.push("s", LARGE).sent


def test_a_server_that_leaves_instead_of_inviting_is_asked_again():
    def leave(connection: socket.socket) -> None:
        read_head(connection)

    def invite(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(INVITATION)
        assert read_body(connection, len(FILE)) == FILE
        connection.sendall(PUSHED)

    with listening(leave, invite) as url, Client(url) as client:
        assert client.push("s", LARGE).sent


def test_connections_are_used_again_and_dropped_when_the_server_closed_them():
    small = make_fragment(3)
    answer = json_http(200, {"id": str(small.fragment_id), "created": False})
    answer = answer.replace(b"connection: close\r\n", b"")
    num_requests: list[int] = []

    def treat(connection: socket.socket) -> None:
        for _ in range(2):
            received = read_head(connection)
            while len(received.partition(b"\r\n\r\n")[2]) < small.num_bytes:
                received += connection.recv(65536)
            num_requests[-1:] = [num_requests[-1] + 1]
            connection.sendall(answer)

    def counted(connection: socket.socket) -> None:
        num_requests.append(0)
        treat(connection)

    with listening(counted, counted) as url, Client(url) as client:
        for _ in range(4):
            client.push("s", small)
    assert num_requests == [2, 2]


def test_a_file_that_cannot_be_written_is_no_broken_connection(script):
    script.replies = [http(200, FILE)]

    def write(_data: object) -> None:
        raise OSError(28, "no room")

    with Client(script.url) as client, pytest.raises(OSError, match="no room") as caught:
        client.pour(ID, write)
    assert not isinstance(caught.value, ConnectionFailedError)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("url", "variables", "directly"),
    [
        ("http://a.example", {}, True),
        ("http://a.example", {"http_proxy": "http://p.example"}, False),
        ("http://a.example", {"all_proxy": "http://p.example"}, False),
        ("http://a.example", {"https_proxy": "http://p.example"}, True),
        ("https://a.example", {"https_proxy": "http://p.example"}, False),
        ("http://a.example", {"http_proxy": "http://p.example", "no_proxy": "a.example"}, True),
        ("http://name:secret@a.example", {}, False),
    ],
)
def test_what_a_proxy_or_a_password_needs_is_left_to_the_library(
    monkeypatch, url, variables, directly
):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_reached_directly(httpx2.URL(url)) is directly


def test_a_proxy_is_asked_for_everything(script, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", script.url)
    script.replies = [http(200, FILE)]
    with Client("http://a.example") as client:
        assert client.fetch(ID).to_bytes() == FILE
    assert script.asked[0].path == f"http://a.example/v1/fragments/{ID}"


# TLS.

SELF_SIGNED = Path(__file__).with_name("self_signed.pem")
"""For 127.0.0.1, until 2126; trusted nowhere."""


@pytest.fixture
def tls_script() -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    with serving(context) as script:
        yield script


def test_large_bodies_go_over_tls_in_both_directions(make_client, tls_script, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
    cut = 3 * PIECE_BYTES
    span = f"bytes {cut}-{len(FILE) - 1}/{len(FILE)}"
    pushed = json_http(201, {"id": str(ID), "created": True})
    tls_script.replies = [
        problem(404, "fragment_not_found"),
        pushed,
        http(200, FILE[:cut], content_length=len(FILE), etag=ETAG),
        http(206, FILE[cut:], content_range=span, etag=ETAG),
    ]
    with make_client(tls_script.url) as client:
        assert client.push("s", LARGE).created
        assert client.fetch(ID).to_bytes() == FILE
    assert tls_script.asked[1].body == FILE


def test_a_certificate_that_nobody_vouches_for_is_refused(make_client, tls_script):
    tls_script.replies = [http(200, FILE)] * 4
    with make_client(tls_script.url) as client, pytest.raises(ConnectionFailedError):
        client.fetch(ID)
    assert tls_script.asked == []


def test_a_client_that_is_closed_keeps_no_connection_that_was_in_use():
    """As of a flow that was left behind: it ends when its server answers, and not before."""
    is_asked, closed = threading.Event(), threading.Event()
    missing = b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n"

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        is_asked.set()
        assert closed.wait(10)
        connection.sendall(missing)
        wait_for_the_end(connection)

    with listening(serve) as url:
        client = Client(url)

        def fetch() -> None:
            with pytest.raises(UnexpectedAnswerError):
                client.fetch(ID)

        thread = threading.Thread(target=fetch)
        thread.start()
        assert is_asked.wait(10)
        client.close()
        closed.set()
        thread.join(20)
