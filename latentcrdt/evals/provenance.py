"""Provenance: what a run's answers depend on beside the questions, and where it ran."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import torch

PACKAGES = ("latentcrdt", "numpy", "tokenizers", "torch", "transformers")
"""Whose release may change an answer."""


def package_versions() -> dict[str, str]:
    """Return the versions with which a run must go on if it is to be the same run."""
    return {name: version(name) for name in PACKAGES}


def session_facts() -> dict[str, object]:
    """Return when and on what machine this process runs: no part of what two runs must share."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
