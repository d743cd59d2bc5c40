"""Deliberately wrong servers: each has one fault, and one check that must catch it."""

from __future__ import annotations

from tests.conformance.wrong_servers.answers import answers
from tests.conformance.wrong_servers.bytes import bytes_
from tests.conformance.wrong_servers.catalogue import WrongServer
from tests.conformance.wrong_servers.merges import merges
from tests.conformance.wrong_servers.renders import renders
from tests.conformance.wrong_servers.replication import replication
from tests.conformance.wrong_servers.states import states

WRONG_SERVERS: tuple[WrongServer, ...] = tuple(
    server
    for catalogue in (states, renders, merges, bytes_, answers, replication)
    for server in catalogue.servers
)
