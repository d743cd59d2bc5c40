"""The calls by which replicas exchange states, as values: canonical msgpack, not documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from latentcrdt.client.answers import Answer
from latentcrdt.client.calls import Call
from latentcrdt.core.ids import Digest, StateName
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.messages import Question, SyncAnswer
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import InvalidInputError, UnexpectedAnswerError

T = TypeVar("T")

MSGPACK_TYPE = "application/vnd.msgpack"

CURSOR_HEADER = "feed-cursor"
"""Where the feed stood when roots were asked for, also when they are not sent again."""


def roots(known: Digest | None) -> Call[Roots | Cursor]:
    """Ask for the roots of all states; for the cursor alone if their digest is ``known``."""

    def read(answer: Answer) -> Roots | Cursor:
        if answer.status == 304:
            return _reading(lambda: Cursor.parse(answer.headers.get(CURSOR_HEADER, "")))
        return _reading(lambda: Roots.decode(answer.body))

    condition = {} if known is None else {"if-none-match": f'"{known}"'}
    return Call("GET", "/v1/roots", read, headers={"accept": MSGPACK_TYPE, **condition})


def changes(after: Cursor | None) -> Call[FeedPage]:
    """Ask for what was learned since a cursor."""
    return Call(
        "GET",
        "/v1/feed",
        lambda answer: _reading(lambda: FeedPage.decode(answer.body)),
        params={} if after is None else {"after": str(after)},
        headers={"accept": MSGPACK_TYPE},
    )


def compare(name: StateName, question: Question) -> Call[SyncAnswer]:
    """Ask for nodes of a state's id tree."""
    return Call(
        "POST",
        f"/v1/states/{name}/sync",
        lambda answer: _reading(lambda: SyncAnswer.decode(answer.body)),
        headers={"accept": MSGPACK_TYPE, "content-type": MSGPACK_TYPE},
        body=question.encode(),
    )


def _reading(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except InvalidInputError as error:
        raise UnexpectedAnswerError(f"expected an answer of this API: {error}") from error
