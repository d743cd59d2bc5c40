"""Bugs in the server."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "any token opens the server",
        "server/latentcrdt_server/tokens.py",
        "            if hmac.compare_digest(given, known):\n",
        "            if given or known:\n",
        "tests/server/test_operations.py",
    ),
    Mutant(
        "sync does not include the other scopes",
        "server/latentcrdt_server/grants.py",
        "return scope in self.scopes or Scope.SYNC in self.scopes",
        "return scope in self.scopes",
        "tests/server/test_tokens.py",
    ),
    Mutant(
        "a state out of reach is forbidden instead of absent",
        "server/latentcrdt_server/caller.py",
        "if self.account.principal.knows(state):",
        "if state:",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "naming an id is enough to come by a fragment",
        "server/latentcrdt_server/caller.py",
        "if not self._has_claim(self.account, fragment_id, state):",
        "if not self.account:",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "naming a prefix is enough to come by it",
        "server/latentcrdt_server/routes/pushes.py",
        "        caller.check_prefix(header, state)\n",
        "",
        "tests/server/test_scopes.py",
    ),
    Mutant(
        "an empty line keeps a connection for ever",
        "server/latentcrdt_server/protocol.py",
        "        if self._head_deadline is None and not self._answers():\n",
        "        if False:\n",
        "tests/server/test_slow_heads.py",
    ),
    Mutant(
        "fragments on their way in need no room",
        "server/latentcrdt_server/ledger.py",
        "held[what] + coming[what] + asked[what] > limit",
        "held[what] + asked[what] > limit",
        "tests/server/test_ledger.py",
    ),
    Mutant(
        "a reader that leaves is not missed while another request waits behind",
        "server/latentcrdt_server/bulk_answer.py",
        "        self._cycle.disconnected = True\n",
        "",
        "tests/server/test_bulk_answer.py",
    ),
    Mutant(
        "a long answer begins before the socket has taken its head",
        "server/latentcrdt_server/bulk_answer.py",
        "            await self._flush_head()\n",
        "",
        "tests/server/test_bulk_answer.py",
    ),
    Mutant(
        "a reader may stand still for ever",
        "server/latentcrdt_server/bulk_answer.py",
        "        if not done:\n",
        "        if False:\n",
        "tests/server/test_stalled_readers.py",
    ),
)
