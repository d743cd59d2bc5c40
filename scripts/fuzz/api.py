"""A real server under requests that schemathesis makes up from the server's own description.

Each answer must be one that the description promises: its status, its media type, its schema; never
a 5xx; and a request without a token, or with another one, must not be answered as if it had it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.client import Client
from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import StateName
from latentcrdt.testing.fragments import make_fragment, make_geometry
from scripts.fuzz.known import Known

HERE = Path(__file__).parent

HOOKS = {
    "SCHEMATHESIS_HOOKS": "scripts.fuzz.hooks",
    "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
}

TOKEN = "fuzz"  # noqa: S105 - of a server that lives as long as this program


def fuzz(seconds: int, folder: Path) -> bool:
    """Ask for so long; return whether every answer was as promised. ``folder`` is empty."""
    (folder / "tokens").write_text(
        f'[[principal]]\nname = "fuzz"\ndigest = "{digest(TOKEN.encode()).hex()}"\n'
        'grants = [{ states = ["*"], scopes = ["read", "add", "sync", "admin"] }]\n'
    )
    with ServerProcess(
        folder / "data", token_file=folder / "tokens", body_timeout_s=5, log_level="warning"
    ) as server:
        known = seed(server.url)
        run = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
                *(HERE / "schemathesis.toml", "run", f"{server.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {TOKEN}"),
                *("--phases", "coverage,fuzzing,stateful", "--checks", "all"),
                # Whether what the description allows also means something depends on what is
                # stored, and on parameters together: a stride without slots, bytes of no fragment.
                *("--exclude-checks", "positive_data_acceptance"),
                *("--max-time", str(seconds), "--generation-database", "none"),
            ],
            cwd=folder,
            env=os.environ | HOOKS | known.to_environment(),
            check=False,
        )
        is_alive = server.stop() == 0
    log = server.log_path.read_text()
    if "request failed" in log:
        print(log)
    return run.returncode == 0 and is_alive and "request failed" not in log


def seed(url: str) -> Known:
    """Fill a few states."""
    first, second = make_fragment(1), make_fragment(2)
    members = {
        "one": [first],
        "two": [first, second],
        "classes": [first, make_fragment(3, geometry=make_geometry(num_layers=1))],
        "behind": [make_fragment(4, prefix=first.fragment_id, start=5)],
    }
    with Client(url, token=TOKEN) as client:
        for name, fragments in members.items():
            for fragment in fragments:
                client.push(StateName(name), fragment)
        client.declare(StateName("empty"))
    ids = {str(f.fragment_id) for fragments in members.values() for f in fragments}
    return Known([*members, "empty"], sorted(ids))
