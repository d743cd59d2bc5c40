"""What an answer means, whoever received it: a document, or the very error the server raised."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from latentcrdt.client.byte_range import ContentRange
from latentcrdt.errors import (
    BusyError,
    ConnectionFailedError,
    LatentCRDTError,
    UnavailableError,
    UnexpectedAnswerError,
    error_class,
)

MAX_RETRY_AFTER_S = 30.0
"""A server that asks for a longer wait than this gets no retry: the caller should decide."""

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""What gateways and overloaded servers answer, with or without a problem document."""

EXCERPT_CHARS = 200
"""How much of an answer that is no problem document is quoted in the error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. ``body`` is empty while only the head has arrived."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx. A redirection is not: none is ever followed."""
        return 200 <= self.status < 300

    @property
    def content_length(self) -> int:
        """The announced length, 0 if there is none; good for progress, not for taking memory."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    @property
    def content_range(self) -> ContentRange | None:
        """Which bytes of a file it holds, where it says so."""
        return ContentRange.parse(self.headers.get("content-range", ""))


def read_json(answer: Answer) -> Any:
    """Return the JSON document of an answer, or raise UnexpectedAnswerError."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswerError(
            f"expected a JSON document, got {_excerpt(answer)}", status=answer.status
        ) from error


def error_of(answer: Answer) -> LatentCRDTError:
    """Return the error that an unsuccessful answer spells.

    A problem document whose ``code`` is known gives that class, with the server's message and
    details; anything else an UnexpectedAnswerError that keeps status, code and details. A
    Retry-After header is noted as ``details["retry_after_s"]``.
    """
    error = _problem(answer)
    after = retry_after_s(answer.headers.get("retry-after"))
    if after is not None:
        error.details["retry_after_s"] = after
    return error


def retry_delay(error: Exception) -> bool | float:
    """Return whether an idempotent call is worth repeating, or after how many seconds."""
    if not isinstance(error, LatentCRDTError):
        return False
    after = error.details.get("retry_after_s")
    if isinstance(error, UnavailableError | UnexpectedAnswerError) and isinstance(after, float):
        return after if after <= MAX_RETRY_AFTER_S else False
    if isinstance(error, UnexpectedAnswerError):
        return error.details.get("status") in RETRIED_STATUSES
    return isinstance(error, ConnectionFailedError | BusyError)


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date, or neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the second for a year of very many digits
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _problem(answer: Answer) -> LatentCRDTError:
    problem = _read_problem(answer.body)
    if problem is None:
        error = UnexpectedAnswerError(
            f"expected an answer of this API, got {_excerpt(answer)}", status=answer.status
        )
        if "location" in answer.headers:
            error.details["location"] = answer.headers["location"]
        return error
    code, message, details = problem
    cls = error_class(code)
    if cls is None:
        return UnexpectedAnswerError(
            f"the server answered {answer.status} with the unknown code {code!r:.80}: {message}",
            status=answer.status,
            code=code,
            details=details,
        )
    known = cls(message)
    # Not as keywords: a server's details may hold any name, `self` and `message` included.
    known.details.update(details)
    return known


def _read_problem(body: bytes) -> tuple[str, str, dict[str, Any]] | None:
    """Return code, message and details of a problem document, or None for anything else."""
    try:
        document = json.loads(body)
        code, message, details = document["code"], document["detail"], document.get("details", {})
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(code, str) or not isinstance(message, str) or not isinstance(details, dict):
        return None
    return code, message, details


def _excerpt(answer: Answer) -> str:
    media = answer.headers.get("content-type", "no content type")
    text = answer.body[:EXCERPT_CHARS].decode("utf-8", "replace")
    return f"status {answer.status} ({media!r:.80}): {text!r}"
