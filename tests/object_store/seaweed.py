"""A real S3 service in processes of its own: SeaweedFS, on loopback, on free ports."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.object_store.service import ServiceProcess, free_ports, program

BUCKET = "latentcrdt"

NUM_VOLUMES = 3


class SeaweedFS:
    """A master, volume servers that hold everything twice, a filer, and S3 over them."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self._path = path
        self._ports = iter(free_ports(2 * (NUM_VOLUMES + 3)))
        self._processes: list[ServiceProcess] = []
        # Replication 001: a second copy, on another server of the same rack.
        options = ["-peers=none", "-telemetry=false", "-volumeSizeLimitMB=64"]
        options.append("-defaultReplication=001")
        master = self._start("master", f"-mdir={path / 'master'}", *options)
        self.volumes: list[ServiceProcess] = []
        for n in range(NUM_VOLUMES):
            name = f"volume-{n}"
            self._start(name, f"-dir={path / name}", f"-master={master}", "-max=30")
            self.volumes.append(self._processes[-1])
        filer = self._start("filer", f"-defaultStoreDir={path / 'filer'}", f"-master={master}")
        s3 = self._start("s3", f"-filer={filer}", "-port.iceberg=0", "-port.lance=0")
        self.endpoint = f"http://{s3.rpartition('.')[0]}"
        """Address of the S3 API."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes an ``s3://`` address mean this service."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
        }

    def wait_until_writable(self) -> None:
        """Make the bucket; return once the volume servers have joined and take bytes."""
        self._processes[-1].wait_for(lambda: httpx2.put(f"{self.endpoint}/{BUCKET}"))
        self._processes[-1].wait_for(
            lambda: httpx2.put(f"{self.endpoint}/{BUCKET}/ready", content=b"1")
        )

    def _start(self, name: str, *options: str) -> str:
        """Start one server; return its address as the others want it told."""
        port, grpc = next(self._ports), next(self._ports)
        (self._path / name).mkdir()
        command = [program("weed"), f"-logdir={self._path / name}", name.partition("-")[0]]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-port={port}", f"-port.grpc={grpc}"]
        self._processes.append(ServiceProcess([*command, *options], self._path / f"{name}.log"))
        return f"127.0.0.1:{port}.{grpc}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
