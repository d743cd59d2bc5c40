"""Bearer tokens (RFC 6750), from a file that the operator names."""

from __future__ import annotations

import hmac
from pathlib import Path

from latentcrdt.core.encoding import digest
from latentcrdt.errors import InvalidRequestError


class Tokens:
    """The tokens that open the API, kept as digests."""

    def __init__(self, tokens: list[str]) -> None:
        self._digests = [digest(token.encode()) for token in tokens]

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Return the tokens of a file: one a line, blank lines and ``#`` comments passed over."""
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        tokens = [line for line in lines if line and not line.startswith("#")]
        if not tokens:
            raise InvalidRequestError(f"{path}: expected at least one token, got none")
        return cls(tokens)

    def allow(self, token: str) -> bool:
        """Return whether a token is one of these, in a time that does not depend on which."""
        given = digest(token.encode())
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return any(matches)
