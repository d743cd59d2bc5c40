"""The shipped suite, on a store in a bucket: in memory, and of a real S3 service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest

from latentcrdt.core.encoding import digest
from latentcrdt.store.object_store.bucket import Bucket
from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket
from latentcrdt.store.object_store.store import ObjectStore
from latentcrdt.testing.store_suite import DurableStoreSuite
from tests.object_store.seaweed import BUCKET


class TestObjectStoreInMemory(DurableStoreSuite):
    buckets: ClassVar[dict[Path, Bucket]] = {}

    def open_store(self, path: Path) -> ObjectStore:
        bucket = self.buckets.setdefault(path, ObstoreBucket.open("memory://"))
        return ObjectStore(bucket, path)


@pytest.mark.usefixtures("seaweed")
class TestObjectStoreOnSeaweedFS(DurableStoreSuite):
    def open_store(self, path: Path) -> ObjectStore:
        prefix = digest(os.fsencode(path)).hex()[:16]
        return ObjectStore(ObstoreBucket.open(f"s3://{BUCKET}/{prefix}"), path)
