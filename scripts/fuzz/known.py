"""What is stored on the server under test, told by whoever stored it to whoever asks for it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

KNOWN_VARIABLE = "LATENTCRDT_FUZZ_KNOWN"


@dataclass(frozen=True, slots=True)
class Known:
    """Names of states and ids of fragments."""

    states: list[str]
    fragments: list[str]

    def to_environment(self) -> dict[str, str]:
        """Return the environment variable that says it."""
        return {KNOWN_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Known:
        """Return what the environment variable says."""
        return cls(**json.loads(os.environ[KNOWN_VARIABLE]))
