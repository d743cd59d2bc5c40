"""What the full matrix fetches once: other numpys, other processors' wheels, Debian trees.

Everything lies in the user's cache directory. A folder appears there under its name only when it is
complete, so an interrupted run leaves nothing that the next one would trust.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from blake3 import blake3
from platformdirs import user_cache_path
from rich.console import Console

from scripts.matrix.environment import Missing

CACHE = user_cache_path("latentcrdt") / "matrix"
PACKAGES = ("python3", "python3-numpy", "python3-msgpack", "libstdc++6")
"""The last is for wheels."""

NO_SECURITY_SUITE = '--setup-hook=sed -i /security/d "$1/etc/apt/sources.list"'
"""Mirrors lag behind with its indices for rarer machines; nothing here faces a network."""

TIMEOUT_S = 1200
"""For one fetch; the largest, torch's wheel for aarch64, has 100 MB."""

progress = Console(stderr=True)


@cache
def wheels(
    requirements: tuple[str, ...], *, platforms: tuple[str, ...] = (), python: str = ""
) -> Path | Missing:
    """Return a folder with these packages, alone, for this machine or for another.

    The folder is named after the first requirement, which therefore must have a version, and a
    digest of all of them, since a list that grew is another.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:"]
    for name in platforms:
        command += ["--platform", name]
    if python:
        command += ["--python-version", python]
    parts = [requirements[0].replace("==", "-"), *platforms[:1], python]
    if len(requirements) > 1:
        parts.append(blake3(" ".join(requirements).encode()).hexdigest()[:8])
    return _fetched(
        "-".join(filter(None, parts)), lambda into: [*command, "--target", str(into), *requirements]
    )


@cache
def debian_tree(architecture: str) -> Path | Missing:
    """Return the root of a small Debian with Python and numpy: unpacked, never entered."""
    try:
        suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    except (OSError, KeyError) as error:
        return Missing(f"which Debian this is: {error}")
    if shutil.which("mmdebstrap") is None:
        return Missing("mmdebstrap is not installed")
    command = ["mmdebstrap", "--variant=extract", f"--architectures={architecture}"]
    command += [f"--include={','.join(PACKAGES)}", NO_SECURITY_SUITE, suite]
    return _fetched(f"{suite}-{architecture}", lambda into: [*command, str(into)])


def _fetched(name: str, command: Callable[[Path], list[str]]) -> Path | Missing:
    target = CACHE / name
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    progress.print(f"fetching {name} ...", markup=False, highlight=False)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        partial = Path(folder) / "partial"
        try:
            run = subprocess.run(
                command(partial), capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return Missing(f"{name}: not fetched within {TIMEOUT_S} s")
        if run.returncode:
            lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            # apt and pip say the reason first, and at the end that there was one.
            reason = next(
                (line for line in lines if line.startswith(("E: ", "ERROR: "))), lines[-1]
            )
            return Missing(f"{name}: {reason}")
        partial.rename(target)
    return target
