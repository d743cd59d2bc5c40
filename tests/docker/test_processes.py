"""The scripts of the images, run for real: installed, started, healthy, peers, stopped."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from latentcrdt.client import Client
from latentcrdt.testing.fragments import make_fragment
from tests.docker.files import DOCKER, ROOT, Dockerfile
from tests.docker.stack import Stack
from tests.server.wire import wait_until


def test_the_image_has_the_tested_versions_and_no_torch(installed: Path) -> None:
    listed = subprocess.run(
        [installed / "bin" / "python", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    have = dict(line.split("==") for line in listed.stdout.split())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(x) for x in lines if x and not x.startswith("#")]
    pinned = {canonicalize_name(p.name): p.specifier for p in pins if not p.marker}
    brought = {canonicalize_name(name): version for name, version in have.items()}
    for own in ("latentcrdt", "pip", "setuptools"):
        brought.pop(own, None)
    assert "torch" not in brought
    assert brought.keys() <= pinned.keys()
    for name, version in brought.items():
        assert pinned[name].contains(version)


@pytest.fixture(scope="module")
def single(
    installed: Path, secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("single")
    with Stack(DOCKER / "compose.yml", directory, installed, secrets) as stack:
        yield stack


def test_one_server_takes_a_push_from_whoever_has_a_token(single: Stack, secrets: Path) -> None:
    url, fragment = single.url("latentcrdt"), make_fragment(1)
    assert httpx2.get(f"{url}/v1/states").status_code == 401
    with Client(url, token=(secrets / "agents").read_text()) as client:
        client.push("s", fragment)
        assert client.fetch(fragment.fragment_id).to_bytes() == fragment.to_bytes()


def test_every_metric_of_an_alert_is_there(single: Stack) -> None:
    text = httpx2.get(single.url("latentcrdt") + "/metrics").text
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | {"up"}
    rules = yaml.safe_load((DOCKER / "alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) > 5
    for rule in rules:
        named = set(re.findall(r"\b(?:latentcrdt|process)_\w+|\bup\b", rule["expr"]))
        assert named
        assert named <= exposed
        for code in re.findall(r'code="(\w+)"', rule["expr"]):
            assert f'latentcrdt_problems_total{{code="{code}"}}' in text
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_stopping_the_start_script_stops_the_server_in_order(
    installed: Path, secrets: Path, tmp_path: Path
) -> None:
    with Stack(DOCKER / "compose.yml", tmp_path, installed, secrets) as stack:
        assert stack.health("latentcrdt") == 0
        assert stack.stop("latentcrdt") == 0
        assert stack.health("latentcrdt") == 1


def test_a_server_that_hangs_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        checked = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"],
            env={**os.environ, "LATENTCRDT_PORT": port},
            check=False,
            capture_output=True,
            text=True,
        )
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr


READ_ONLY = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503 if self.path == "/readyz" else 200)
server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""Stands for a server whose store takes no writes since a sync failed: only /readyz tells."""


def test_a_server_that_takes_no_pushes_is_not_healthy() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READ_ONLY],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        port = serving.stdout.readline().strip()
        checked = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"],
            env={**os.environ, "LATENTCRDT_PORT": port},
            check=False,
            capture_output=True,
        )
        serving.kill()
    assert checked.returncode == 1


def test_three_peers_become_equal_and_stop_in_order(
    installed: Path, secrets: Path, tmp_path: Path
) -> None:
    fragment = make_fragment(2)
    with Stack(DOCKER / "compose.peers.yml", tmp_path, installed, secrets) as stack:
        names = stack.servers()
        assert len(names) == 3
        token = (secrets / "agents").read_text()
        with Client(stack.url(names[0]), token=token) as client:
            client.push("s", fragment)
        for name in names[1:]:
            with Client(stack.url(name), token=token) as client:
                wait_until(lambda c=client: "s" in [s.name for s in c.states()], within_s=60)
                assert client.fetch(fragment.fragment_id).to_bytes() == fragment.to_bytes()
        for name in names:
            url = stack.url(name)

            def equal(url: str = url) -> list[str]:
                text = httpx2.get(f"{url}/metrics").text
                return re.findall(r"^latentcrdt_peer_equal\{.*\} (.*)$", text, re.MULTILINE)

            wait_until(lambda equal=equal: equal() == ["1.0", "1.0"], within_s=60)
        assert [stack.stop(name) for name in names] == [0, 0, 0]


def test_two_servers_share_a_bucket_that_is_kept_twice(
    installed: Path, secrets: Path, tmp_path: Path
) -> None:
    fragment = make_fragment(3)
    with Stack(DOCKER / "compose.scale-out.yml", tmp_path, installed, secrets) as stack:
        one, two = stack.servers()
        token = (secrets / "agents").read_text()
        with (
            Client(stack.url(one), token=token) as first,
            Client(stack.url(two), token=token) as second,
        ):
            first.push("s", fragment)
            wait_until(lambda: "s" in [s.name for s in second.states()], within_s=60)
            assert second.fetch(fragment.fragment_id).to_bytes() == fragment.to_bytes()
        stack.start_one("bucket")  # as every `up` does
        assert [stack.stop(one), stack.stop(two)] == [0, 0]


def test_the_volume_holds_all_that_a_server_writes() -> None:
    dockerfile = Dockerfile.read("Dockerfile")
    for name, value in dockerfile.environment.items():
        if name.endswith("_DIR"):
            assert value.startswith(dockerfile.last("VOLUME") + "/")
