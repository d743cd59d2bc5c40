"""What the files under docker/ say, beside what the server knows."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from latentcrdt_server.settings import Settings

from tests.docker.files import (
    COMPOSE_FILES,
    DOCKER,
    DOCKERFILES,
    ROOT,
    SERVER_IMAGE,
    Dockerfile,
    compose,
    services,
)

SECRETS = {"LATENTCRDT_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

ALL_SERVERS = [
    pytest.param(path, name, service, id=f"{path.name}-{name}")
    for path in COMPOSE_FILES
    for name, service in services(path).items()
]


def test_there_are_files_to_look_at() -> None:
    names = {"compose.yml", "compose.peers.yml", "compose.scale-out.yml"}
    assert {path.name for path in COMPOSE_FILES} == names
    assert len(ALL_SERVERS) == 6


@pytest.mark.parametrize("name", DOCKERFILES.values())
def test_an_image_runs_as_a_numbered_user_without_privileges(name: str) -> None:
    dockerfile = Dockerfile.read(name)
    user = dockerfile.last("USER").partition(":")[0]
    assert int(user) >= 10_000
    assert f"--uid {user}" in " ".join(dockerfile.all("RUN"))
    words = [word for word, _ in dockerfile.instructions]
    assert words.index("USER") < words.index("ENTRYPOINT")


@pytest.mark.parametrize("name", DOCKERFILES.values())
def test_an_image_is_built_from_what_is_there_and_nothing_else(name: str) -> None:
    dockerfile = Dockerfile.read(name)
    rules = (DOCKER / f"{name}.dockerignore").read_text().split()
    assert rules[rules.index("*") :][0] == "*"
    copied = dockerfile.copied()
    assert copied
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    for text in dockerfile.all("COPY"):
        if not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (ROOT / source).exists()
                assert source in let_in
    for source in let_in:
        assert (ROOT / source).exists()
        assert not any(fnmatch(source, pattern) for pattern in ("*secret*", ".git*"))


@pytest.mark.parametrize("name", DOCKERFILES.values())
def test_the_base_of_an_image_is_named_with_its_version(name: str) -> None:
    for base in Dockerfile.read(name).all("FROM"):
        assert re.match(r"python:3\.\d+-slim-\w+( AS \w+)?$", base)


def test_what_the_image_runs_is_in_it_and_hears_signals() -> None:
    dockerfile = Dockerfile.read("Dockerfile")
    copied = dockerfile.copied()
    (start,) = dockerfile.command("ENTRYPOINT")
    python, check = dockerfile.command("HEALTHCHECK")
    assert copied[start] == "docker/start.sh"
    assert copied[check] == "docker/healthcheck.py"
    assert python == "python"
    assert dockerfile.command("CMD") == ["serve"]
    assert dockerfile.last("STOPSIGNAL") == "SIGTERM"
    assert "exec latentcrdt" in (DOCKER / "start.sh").read_text()


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_may_be_run_and_stops_at_the_first_failure(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "set -eu\n" in script.read_text()


def test_the_image_sets_what_the_server_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = Dockerfile.read("Dockerfile")
    settings = read_settings(monkeypatch, dockerfile.environment)
    assert dockerfile.last("EXPOSE") == str(settings.port)
    assert Path(dockerfile.last("VOLUME")) in settings.data_dir.parents
    assert settings.host == "0.0.0.0"
    assert SECRETS.isdisjoint(dockerfile.environment)


@pytest.mark.parametrize(("path", "name", "service"), ALL_SERVERS)
def test_a_server_is_given_settings_that_it_knows(
    path: Path, name: str, service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Dockerfile.read("Dockerfile").environment
    settings = read_settings(monkeypatch, image | service["environment"])
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.shutdown_timeout_s
    others = services(path).keys() - {name}
    if settings.peers:
        assert {f"http://{other}:{settings.port}" for other in others} == set(settings.peers)
    else:
        assert settings.store is not None or not others


@pytest.mark.parametrize(("path", "name", "service"), ALL_SERVERS)
def test_a_server_is_closed_to_everyone_without_a_token(
    path: Path, name: str, service: dict[str, Any]
) -> None:
    given = service["environment"]
    assert given["LATENTCRDT_TOKEN_FILE"] == "/run/secrets/tokens.toml"
    assert "tokens.toml" in service["secrets"]
    assert SECRETS.isdisjoint(given)
    assert ("LATENTCRDT_TOKEN" in service["secrets"]) == ("LATENTCRDT_PEERS" in given)
    assert ("AWS_SECRET_ACCESS_KEY" in service["secrets"]) == ("LATENTCRDT_STORE" in given)
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    (port,) = service["ports"]
    assert re.fullmatch(rf"127\.0\.0\.1:\d+:{Dockerfile.read('Dockerfile').last('EXPOSE')}", port)


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_what_a_compose_file_names_is_declared(path: Path) -> None:
    document = compose(path)
    data = []
    for service in document["services"].values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("./"):
                assert (DOCKER / source).is_file()
            else:
                assert source in document["volumes"]
                data.append((source, target))
        for secret in service.get("secrets", []):
            assert document["secrets"][secret] == {"file": f"secrets/{secret}"}
        for needed in service.get("depends_on", []):
            assert needed in document["services"]
        if "build" in service:
            build = service["build"]
            assert (path.parent / build["context"]).resolve() == ROOT
            assert build["dockerfile"] == f"docker/{DOCKERFILES[service['image']]}"
    assert len({source for source, _ in data}) == len(data), "two services share a volume"
    assert {source for source, _ in data} == document["volumes"].keys()
    assert {t for s, t in data if s != "prometheus"} == {"/data"}


def test_secrets_are_kept_out_of_git_and_images() -> None:
    assert "secrets/" in (DOCKER / ".gitignore").read_text().split()
    read = set(re.findall(r"\b(?:LATENTCRDT|AWS)_[A-Z_]+", (DOCKER / "start.sh").read_text()))
    assert read == SECRETS


@pytest.mark.parametrize("kind", ["peers", "scale-out"])
def test_prometheus_scrapes_every_server(kind: str) -> None:
    path = DOCKER / f"compose.{kind}.yml"
    prometheus = compose(path)["services"]["prometheus"]
    mounts = dict(volume.split(":")[:2] for volume in prometheus["volumes"])
    inside = {target: source for source, target in mounts.items()}
    options = dict(option.split("=") for option in prometheus["command"])
    config_path = options["--config.file"]
    config = yaml.safe_load((DOCKER / inside[config_path]).read_text())
    port = Dockerfile.read("Dockerfile").last("EXPOSE")
    (job,) = config["scrape_configs"]
    (static,) = job["static_configs"]
    assert set(static["targets"]) == {f"{name}:{port}" for name in services(path)}
    for rules in config["rule_files"]:
        assert str(Path(config_path).parent / rules) in inside
    assert options["--storage.tsdb.path"] in inside


def test_seaweedfs_keeps_everything_twice() -> None:
    found = services(DOCKER / "compose.scale-out.yml", "latentcrdt-seaweedfs")
    assert "-defaultReplication=001" in found["master"]["command"]
    assert "-telemetry=false" in found["master"]["command"]
    assert len([s for s in found.values() if s["command"][0] == "volume"]) >= 3
    assert not any("ports" in service for service in found.values())


def read_settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> Settings:
    """Return the settings that a container with this environment has; no name is unknown."""
    ours = {k: str(v) for k, v in given.items() if k.startswith("LATENTCRDT_")}
    known = {f"LATENTCRDT_{field.upper()}" for field in Settings.model_fields}
    assert ours.keys() <= known
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_the_images_of_compose_files_are_those_that_are_built_here() -> None:
    built = {
        service["image"]
        for path in COMPOSE_FILES
        for service in compose(path)["services"].values()
        if "build" in service
    }
    assert built == {SERVER_IMAGE, "latentcrdt-seaweedfs"}
    install = shlex.split((DOCKER / "install.sh").read_text(), comments=True)
    assert "constraints.txt" in install
    assert ".[server]" in install
