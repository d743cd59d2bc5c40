"""Bearer tokens (RFC 6750), from a TOML file that the operator names.

An entry a token::

    [[principal]]
    name = "agents"
    digest = "2f0c..."                # BLAKE3 of the token, as `latentcrdt token new` prints it
    grants = [
        { states = ["task-*", "shared"], scopes = ["read", "add"] },
    ]
    quota = { bytes = 50_000_000_000, fragments = 10_000, bodies = 16 }  # each optional

A pattern of ``states`` is a name, or how names begin and ``*``. What the scopes allow is said in
grants.py, what a quota counts in principals.py. The file is read when the server starts: a token
is revoked by taking out its entry and starting again.
"""

from __future__ import annotations

import hmac
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latentcrdt.core.encoding import digest
from latentcrdt.errors import InvalidRequestError
from latentcrdt_server.account import Account
from latentcrdt_server.principals import Principal
from latentcrdt_server.roster import Roster


class _TokenFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    principal: list[Principal] = Field(min_length=1)


class Tokens:
    """The tokens that open the API, each with the account of its principal."""

    def __init__(self, principals: Sequence[Principal]) -> None:
        roster = Roster()
        self._accounts = [(bytes.fromhex(p.digest), Account(p, roster)) for p in principals]

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Return the tokens of a file.

        Raises InvalidRequestError, which names the entry and never its digest (it may be a token,
        put there by mistake), for a file that cannot be read or is not as described above.
        """
        try:
            # Some editors begin a file with a byte order mark.
            document = tomllib.loads(path.read_text("utf-8-sig"))
            principals = _TokenFile.model_validate(document).principal
        except OSError as error:
            raise _refusal(path, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise _refusal(path, "it is not UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            # The rest of its message may quote the file.
            place = re.search(r"line \d+|end of document", str(error))
            raise _refusal(path, f"it is not TOML, {place[0] if place else 'somewhere'}") from None
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise _refusal(path, f"{where}: {first['msg']}") from None
        for field in ("name", "digest"):
            values = [getattr(principal, field) for principal in principals]
            if len(set(values)) < len(values):
                raise _refusal(path, f"two principals have the same {field}")
        return cls(principals)

    def identify(self, token: str) -> Account | None:
        """Return the account that a token opens, if any; the time does not tell which."""
        given = digest(token.encode())
        found = None
        for known, account in self._accounts:
            if hmac.compare_digest(given, known):
                found = account
        return found


def _refusal(path: Path, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"token file {path}: expected principals and their grants: {reason}")
