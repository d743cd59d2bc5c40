"""A wrong server: what is wrong with it, and the check that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.faulty import FaultyServer, Request, Response

Install = Callable[[FaultyServer], None]


@dataclass(frozen=True)
class WrongServer:
    check: str
    """The check that catches it."""
    fault: str
    install: Install


class Catalogue:
    """Collects wrong servers; a fault is a function that installs itself, or a hook."""

    def __init__(self) -> None:
        self.servers: list[WrongServer] = []

    def fault(self, check: str) -> Callable[[Install], Install]:
        """Add a fault that reaches into the server."""

        def add(install: Install) -> Install:
            self.servers.append(WrongServer(check, install.__name__.replace("_", " "), install))
            return install

        return add

    def asked(self, check: str) -> Callable[[Callable[[Request], None]], None]:
        """Add a server that misreads its requests."""

        def add(change: Callable[[Request], None]) -> None:
            def install(server: FaultyServer) -> None:
                server.before = change

            self.servers.append(WrongServer(check, change.__name__.replace("_", " "), install))

        return add

    def answered(self, check: str) -> Callable[[Callable[[Request, Response], None]], None]:
        """Add a server that changes its answers."""

        def add(change: Callable[[Request, Response], None]) -> None:
            def install(server: FaultyServer) -> None:
                server.after = change

            self.servers.append(WrongServer(check, change.__name__.replace("_", " "), install))

        return add
