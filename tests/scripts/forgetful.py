"""A contender that says that all is well and keeps nothing: client processes import it."""

from __future__ import annotations

from scripts.bench_peers.contender import Contender, Outcome
from scripts.bench_peers.limits import no_server


class ForgetfulSession:
    def __init__(self, address):
        pass

    def prepare(self, operation, payload):
        kept = b"" if operation == "get" else payload.fragment.body
        return lambda: Outcome(lambda: kept == payload.fragment.body)

    def forget(self, payload):
        pass


FORGETFUL = Contender("forgetful", ("put",), ("get",), "nothing", no_server, ForgetfulSession)
