"""Take in one answer, piece by piece, over as many connections as it takes. Sans I/O.

An intake outlives a broken connection: before each attempt it says which headers to send, so that
a large body goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NoReturn, Protocol, TypeVar

from latentcrdt.client.answers import Answer, error_of
from latentcrdt.client.byte_range import ByteRange, ContentRange
from latentcrdt.client.gate import Gate
from latentcrdt.core.encoding import Buffer
from latentcrdt.errors import ConnectionFailedError, TooLargeError, UnexpectedAnswerError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_DOCUMENT_BYTES = 256 * 2**20
"""A listing of half a million members; a larger answer is an attack or a mistake."""

MAX_PROBLEM_BYTES = 2**20
"""A problem document names ids and classes; no error needs more."""


NO_ROOM = memoryview(b"")
"""Said where bytes may lie anywhere until they are fed."""


class Receiver(Protocol[T_co]):
    """Something that is made from a body's bytes as they come."""

    def room(self) -> memoryview:
        """Return memory for exactly what is to come, as far as it is known, or ``NO_ROOM``.

        Bytes may be read into it, from its start, and then fed as slices of it without a copy.
        """

    def feed(self, data: Buffer) -> None:
        """Take the next bytes; raises what they deserve, at once."""

    def finish(self) -> T_co:
        """Return what the whole body spells, or raise TruncatedError."""


class Intake(Protocol[T_co]):
    """What a client drives: ``headers``, ``begin``, ``feed`` ..., ``finish``; again on a retry."""

    def headers(self) -> dict[str, str]:
        """Return what to add to the request of this attempt."""

    def begin(self, head: Answer) -> None:
        """Take the status and headers of this attempt's answer."""

    def room(self) -> memoryview:
        """Return where the next bytes may be read to, as `Receiver.room`."""

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the body."""

    def finish(self) -> T_co:
        """Return the result once the body has ended, or raise the error that was answered."""


class DocumentIntake(Generic[T]):
    """Gathers a small answer whole and reads it as its call says."""

    def __init__(self, read: Callable[[Answer], T]) -> None:
        self._read = read
        self._head = Answer(0, {})
        self._body = bytearray()

    def headers(self) -> dict[str, str]:
        """Return nothing: a small answer is asked for again from its start."""
        return {}

    def begin(self, head: Answer) -> None:
        """Forget an earlier attempt."""
        self._head, self._body = head, bytearray()
        _check_encoding(head)

    def room(self) -> memoryview:
        """Return nothing: how long a document is shows at its end."""
        return NO_ROOM

    def feed(self, data: Buffer) -> None:
        """Gather, up to a limit."""
        limit = MAX_DOCUMENT_BYTES if self._head.is_success else MAX_PROBLEM_BYTES
        self._body += data
        if len(self._body) > limit:
            raise TooLargeError(
                f"expected an answer of at most {limit} bytes, got at least {len(self._body)}",
                limit=limit,
            )

    def finish(self) -> T:
        """Read the document, or raise the problem."""
        answer = Answer(self._head.status, self._head.headers, bytes(self._body))
        # 304 answers only those who named what they know; whoever did reads it as it is meant.
        if not answer.is_success and answer.status != 304:
            raise error_of(answer)
        return self._read(answer)


class StreamIntake(Generic[T]):
    """Hands a large body to a receiver, and resumes it after a broken connection."""

    def __init__(
        self,
        make_receiver: Callable[[Answer], Receiver[T]],
        wanted: ByteRange | None,
        gate: Gate,
    ) -> None:
        """``make_receiver`` gets the head of each answer that starts at the first wanted byte.

        Both it and the receiver are called only while the gate is open.
        """
        self._make_receiver = make_receiver
        self._wanted = wanted
        self._gate = gate
        self._coming = ByteRange(0, None)
        self._is_continued = False
        self._receiver: Receiver[T] | None = None
        self._problem: DocumentIntake[T] | None = None
        self._etag: str | None = None
        self._num_bytes = 0

    def headers(self) -> dict[str, str]:
        """Ask for the rest only, if the server named what it sent so far by a strong ETag."""
        rest = ByteRange(self._coming.start + self._num_bytes, self._coming.stop)
        # A connection may break behind the last byte: nothing is no range.
        is_over = rest.stop is not None and rest.start >= rest.stop
        self._is_continued = bool(self._num_bytes) and self._etag is not None and not is_over
        if self._is_continued:
            assert self._etag is not None
            return {"range": str(rest), "if-range": self._etag}
        return {} if self._wanted is None else {"range": str(self._wanted)}

    def begin(self, head: Answer) -> None:
        """Go on with a 206 that continues the same object; else start afresh."""
        _check_encoding(head)
        self._problem = None
        if self._is_continued and head.status == 416:
            # Of a length that was not announced, everything may have come before it broke.
            self._num_bytes = 0
            raise ConnectionFailedError("the answer broke off where nothing more was to come")
        if self._is_continued and head.status == 206:
            self._check_continuation(head)
        elif head.status == 206 and self._wanted is not None:
            found = _check_start(head, self._wanted.start)
            self._start(head, ByteRange(found.start, found.stop))
        elif head.status == 200:
            # Who asks for the first bytes can take them all; all do not begin with any others.
            if self._wanted is not None and self._wanted.start:
                raise UnexpectedAnswerError(
                    f"expected the bytes from {self._wanted.start} on, got all of them", status=200
                )
            self._start(head, ByteRange(0, None))
        else:
            self._problem = DocumentIntake(_refuse)
            self._problem.begin(head)

    def room(self) -> memoryview:
        """Return the receiver's; nothing for a problem."""
        if self._problem is not None or self._receiver is None:
            return NO_ROOM
        return self._receiver.room()

    def feed(self, data: Buffer) -> None:
        """Pass the bytes on, and count them."""
        if self._problem is not None:
            self._problem.feed(data)
        elif self._receiver is not None:
            with self._gate.passing():
                self._receiver.feed(data)
            self._num_bytes += len(data)

    def finish(self) -> T:
        """Return what the receiver made of the body, or raise the problem."""
        if self._problem is not None:
            return self._problem.finish()
        assert self._receiver is not None
        return self._receiver.finish()

    def _start(self, head: Answer, coming: ByteRange) -> None:
        with self._gate.passing():
            self._receiver = self._make_receiver(head)
        self._coming, self._num_bytes = coming, 0
        etag = head.headers.get("etag")
        self._etag = etag if etag is not None and etag.startswith('"') else None

    def _check_continuation(self, head: Answer) -> None:
        _check_start(head, self._coming.start + self._num_bytes)
        if head.headers.get("etag") != self._etag:
            raise UnexpectedAnswerError(
                f"expected the rest of {self._etag}, got {head.headers.get('etag')!r:.120}"
            )


def _check_start(head: Answer, start: int) -> ContentRange:
    given = head.content_range
    if given is None or given.start != start:
        raise UnexpectedAnswerError(
            f"expected the bytes from {start} on, "
            f"got Content-Range {head.headers.get('content-range')!r:.80}"
        )
    return given


def _refuse(answer: Answer) -> NoReturn:
    raise UnexpectedAnswerError(f"expected status 200, got {answer.status}", status=answer.status)


def _check_encoding(head: Answer) -> None:
    """Refuse compressed answers: none was asked for, and a small one can expand without end."""
    encoding = head.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise UnexpectedAnswerError(f"expected no content encoding, got {encoding!r:.40}")
