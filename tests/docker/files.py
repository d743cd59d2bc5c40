"""The files under docker/, read as Docker and Compose read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

DOCKER = ROOT / "docker"

COMPOSE_FILES = sorted(DOCKER.glob("compose*.yml"))

SERVER_IMAGE = "latentcrdt"

DOCKERFILES = {SERVER_IMAGE: "Dockerfile", "latentcrdt-seaweedfs": "seaweedfs.Dockerfile"}


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile's instructions."""

    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, name: str) -> Dockerfile:
        text = (DOCKER / name).read_text().replace("\\\n", " ")
        lines = [x for x in text.splitlines() if x.strip() and not x.startswith("#")]
        pairs = (line.strip().split(maxsplit=1) for line in lines)
        return cls(tuple((word.upper(), rest.strip()) for word, rest in pairs))

    def all(self, word: str) -> list[str]:
        return [rest for found, rest in self.instructions if found == word]

    def last(self, word: str) -> str:
        return self.all(word)[-1]

    def command(self, word: str) -> list[str]:
        """Return an instruction in exec form: a shell would keep SIGTERM to itself."""
        text = self.last(word)
        parsed: list[str] = json.loads(text[text.index("[") :])
        return parsed

    @property
    def environment(self) -> dict[str, str]:
        """What the last stage sets."""
        last_stage = max(n for n, (word, _) in enumerate(self.instructions) if word == "FROM")
        texts = [rest for word, rest in self.instructions[last_stage:] if word == "ENV"]
        return dict(pair.split("=", 1) for text in texts for pair in text.split())

    def copied(self) -> dict[str, str]:
        """Return what the last stage copies from the repository, by its path in the image."""
        found = {}
        for text in self.all("COPY"):
            *sources, target = text.split()
            if not sources[0].startswith("--from"):
                for source in sources:
                    name = target + Path(source).name if target.endswith("/") else target
                    found[name] = source
        return found


def compose(path: Path) -> dict[str, Any]:
    """Return a compose file, its aliases and merges resolved."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def services(path: Path, image: str = SERVER_IMAGE) -> dict[str, dict[str, Any]]:
    """Return those services of a compose file that run an image."""
    found = compose(path)["services"]
    return {name: service for name, service in found.items() if service["image"] == image}
