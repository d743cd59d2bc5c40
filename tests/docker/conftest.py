"""The server as docker/install.sh installs it, once for all tests here, and secrets for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.files import DOCKER


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the image's own script, for real; it takes as long as in the image."""
    target = tmp_path_factory.mktemp("installed") / "latentcrdt"
    # The python3 of the image is ours here: that of the system may be too old.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([DOCKER / "install.sh", target], env={**os.environ, "PATH": path}, check=True)
    return target


@pytest.fixture(scope="session")
def secrets(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the secrets as docs/operating.md says: by `token new`, through the image's entry."""
    directory = tmp_path_factory.mktemp("secrets")
    grants = {"agents": ["--scope", "read", "--scope", "add"], "peers": ["--scope", "sync"]}
    path = f"{installed / 'bin'}{os.pathsep}{os.environ['PATH']}"
    entries = []
    for name, scopes in grants.items():
        made = subprocess.run(
            [DOCKER / "start.sh", "token", "new", name, *scopes],
            env={"PATH": path, "SECRETS_DIR": str(directory)},
            capture_output=True,
            text=True,
            check=True,
        )
        entries.append(made.stdout)
        (directory / name).write_text(made.stderr.strip())
    (directory / "tokens.toml").write_text("\n".join(entries))
    (directory / "LATENTCRDT_TOKEN").write_text((directory / "peers").read_text() + "\n")
    (directory / "AWS_ACCESS_KEY_ID").write_text("latentcrdt\n")
    (directory / "AWS_SECRET_ACCESS_KEY").write_text("for-this-test-alone\n")
    return directory
