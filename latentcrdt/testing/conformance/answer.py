"""What a server answered, and the first things that every answer is held to.

Nothing here does I/O. What is not as promised is an AssertionError that says what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from latentcrdt.core.encoding import unpack_document
from latentcrdt.errors import MalformedError
from latentcrdt.testing.conformance.expectations import covers, equal

JSON_TYPE = "application/json"
MSGPACK_TYPES = ("application/vnd.msgpack", "application/msgpack", "application/x-msgpack")
PROBLEM_TYPE = "application/problem+json"

PROBLEM_FIELDS = {
    "type": str,
    "title": str,
    "status": int,
    "detail": str,
    "code": str,
    "details": dict,
    "instance": str,
}
"""The members of a problem document, all of them required."""

EXCERPT_BYTES = 120
"""How much of a body is quoted where it is not what was promised."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    asked: str
    """Method, path and what else told the request apart, for messages."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def expect(self, *statuses: int) -> Self:
        """Return this answer if it has one of these statuses."""
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise AssertionError(
                f"{self.asked}: expected status {wanted}, got {self.status}: {self._excerpt()}"
            )
        return self

    def header(self, name: str) -> str:
        """Return a header that has to be there."""
        if name not in self.headers:
            raise AssertionError(f"{self.asked}: expected a header {name}, got none")
        return self.headers[name]

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def document(self) -> dict[str, Any]:
        """Return the document that the body spells, in the form that its Content-Type names."""
        try:
            if self.media_type in MSGPACK_TYPES:
                document = unpack_document(self.body)
            else:
                equal(f"{self.asked}: Content-Type", JSON_TYPE, self.media_type)
                document = json.loads(self.body)
        except (ValueError, RecursionError, MalformedError) as error:
            raise AssertionError(
                f"{self.asked}: expected a document of {self.media_type}, got {self._excerpt()}"
            ) from error
        if not isinstance(document, dict):
            raise AssertionError(  # noqa: TRY004 - an answer, not an argument
                f"{self.asked}: expected an object, got {self._excerpt()}"
            )
        return document

    def covers(self, expected: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document, if it says all that is expected; it may say more."""
        document = self.document()
        covers(self.asked, expected, document)
        return document

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """Return the problem document of a refusal with this status and code."""
        self.expect(status)
        if self.media_type != PROBLEM_TYPE:
            raise AssertionError(
                f"{self.asked}: expected a problem document ({PROBLEM_TYPE}), got "
                f"{self.media_type}: {self._excerpt()}"
            )
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise AssertionError(
                f"{self.asked}: expected a problem document, got {self._excerpt()}"
            ) from error
        for name, kind in PROBLEM_FIELDS.items():
            if not isinstance(document, dict) or type(document.get(name)) is not kind:
                raise AssertionError(
                    f"{self.asked}: expected a problem with {name!r} as {kind.__name__}, got "
                    f"{self._excerpt()}"
                )
        covers(f"{self.asked}: problem", {"status": status, "code": code}, document)
        return dict(document)

    def _excerpt(self) -> str:
        if not self.body:
            return "an empty body"
        more = "..." if len(self.body) > EXCERPT_BYTES else ""
        return f"{self.body[:EXCERPT_BYTES]!r}{more}"
