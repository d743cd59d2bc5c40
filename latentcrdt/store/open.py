"""Open a store by what an operator writes: a directory, or the address of a bucket."""

from __future__ import annotations

from pathlib import Path

from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.protocol import Store


def open_store(url: str | None, directory: Path, *, cache_bytes: int) -> Store:
    """Return the store in a bucket, with its cache in ``directory``; no address: in ``directory``.

    Raises InvalidRequestError for an address that is none, StoreFailedError, StoreFullError.
    """
    if url is None:
        return DirectoryStore(directory)
    # An extra: whoever keeps fragments in a directory needs no client of object services.
    from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket  # noqa: PLC0415
    from latentcrdt.store.object_store.store import ObjectStore  # noqa: PLC0415

    return ObjectStore(ObstoreBucket.open(url), directory / "cache", cache_bytes=cache_bytes)
