"""Token files for tests, and clients that hold their tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.encoding import digest

Grants = list[tuple[str, str]]
"""Pairs of patterns and scopes, each separated by spaces."""

AsPrincipal = Callable[[str], httpx2.Client]


def secret_of(name: str) -> str:
    return f"secret-of-{name}"


def write_tokens(path: Path, grants: dict[str, Grants], **quotas: str) -> Path:
    """Write a token file; a quota is an inline table, by principal."""
    with path.open("w") as file:
        for name, granted in grants.items():
            print("[[principal]]", file=file)
            print(f"name = {json.dumps(name)}", file=file)
            print(f"digest = {json.dumps(digest(secret_of(name).encode()).hex())}", file=file)
            print("grants = [", file=file)
            for states, scopes in granted:
                patterns, names = json.dumps(states.split()), json.dumps(scopes.split())
                print(f"  {{ states = {patterns}, scopes = {names} }},", file=file)
            print("]", file=file)
            if name in quotas:
                print(f"quota = {quotas[name]}", file=file)
    return path


def client_of(server: ServerProcess, name: str) -> httpx2.Client:
    """Return a client that holds a principal's token."""
    headers = {"authorization": f"Bearer {secret_of(name)}"}
    return httpx2.Client(base_url=server.url, headers=headers, timeout=60)
