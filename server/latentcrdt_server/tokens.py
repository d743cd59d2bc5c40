"""Bearer tokens (RFC 6750), from a file that the operator names."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from latentcrdt.core.encoding import digest
from latentcrdt.errors import InvalidRequestError

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a client can send in an Authorization header and mean the same by it."""


class Tokens:
    """The tokens that open the API, kept as digests."""

    def __init__(self, tokens: list[str]) -> None:
        self._digests = [digest(token.encode()) for token in tokens]

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Return the tokens of a file: one a line, blank lines and ``#`` comments passed over.

        Raises InvalidRequestError, which names the line and never the token, for a file that cannot
        be read, has no token, or has one that no caller could send.
        """
        try:
            text = path.read_text("utf-8-sig")  # some editors begin a file with a byte order mark
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InvalidRequestError(
                f"token file {path}: expected a readable text file: {reason}"
            ) from error
        tokens = []
        for number, line in enumerate(text.split("\n"), start=1):
            token = line.strip()
            if not token or token.startswith("#"):
                continue
            if not _TOKEN.fullmatch(token):
                raise InvalidRequestError(
                    f"token file {path}, line {number}: expected one token of printable ASCII "
                    "without spaces (a comment needs a line of its own)"
                )
            tokens.append(token)
        if not tokens:
            raise InvalidRequestError(f"token file {path}: expected at least one token, got none")
        return cls(tokens)

    def allow(self, token: str) -> bool:
        """Return whether a token is one of these, in a time that does not depend on which."""
        given = digest(token.encode())
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return any(matches)
