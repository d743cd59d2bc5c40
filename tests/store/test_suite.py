"""The shipped suite, on both stores of this package."""

from pathlib import Path

from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.store_suite import DurableStoreSuite, StoreSuite


class TestMemoryStore(StoreSuite):
    def open_store(self, _path: Path) -> MemoryStore:
        return MemoryStore()


class TestDirectoryStore(DurableStoreSuite):
    def open_store(self, path: Path) -> DirectoryStore:
        return DirectoryStore(path)
