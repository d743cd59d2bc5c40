"""Check: one promise of the HTTP API, held to by asking a server; Group: those that go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from latentcrdt.testing.conformance.server import Server


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. Called with a server, it returns, or says by raising what was broken."""

    group: str
    name: str
    section: str
    """Where the promise is made."""
    promise: str
    test: Callable[[Server], None]

    def __call__(self, server: Server) -> None:
        """Ask the server; AssertionError (or a LatentCRDTError, for bytes) says what it broke.

        unittest.SkipTest, which pytest heeds too, says that it does not offer what is promised.
        """
        self.test(server)

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True, slots=True)
class Group:
    """Checks of one subject, in the order in which they are defined."""

    name: str
    _checks: list[Check] = field(default_factory=list)

    def check(self, section: str) -> Callable[[Callable[[Server], None]], Check]:
        """Make a function a check: its name is the check's, its docstring the promise."""

        def add(test: Callable[[Server], None]) -> Check:
            assert test.__doc__ is not None
            made = Check(
                self.name, test.__name__.replace("_", "-"), section, test.__doc__.strip(), test
            )
            self._checks.append(made)
            return made

        return add

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)
