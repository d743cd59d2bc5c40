"""A bucket of Amazon S3 and what speaks like it, Google Cloud Storage, Azure, or memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from latentcrdt.core.encoding import Buffer
from latentcrdt.errors import (
    InvalidRequestError,
    LatentCRDTError,
    StoreFailedError,
    StoreFullError,
)
from latentcrdt.store.object_store.bucket import ObjectInfo

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore as Service

SCHEMES = ("s3", "gs", "az", "memory")
"""Of the addresses accepted. Not ``file``: such a bucket is never synced to the disk."""

REQUEST_TIMEOUT = timedelta(seconds=60)
"""For one request: 8 MiB at 1.2 Mbit/s."""

RETRY_TIMEOUT = timedelta(seconds=30)
"""After this time a request that failed is not tried again; with one more it is 90 s in all."""

MAX_RETRIES = 5

PART_BYTES = 8 << 20
"""Objects are sent in parts of this many bytes, `PARTS_IN_FLIGHT` at a time."""

PARTS_IN_FLIGHT = 4

LIST_PAGE = 1000
"""Keys that services answer with at a time."""

_NO_ROOM = re.compile(r"\b507\b|InsufficientStorage|StorageFull|QuotaExceeded|no free volumes")


class ObstoreBucket:
    """A `latentcrdt.store.object_store.bucket.Bucket` over obstore."""

    def __init__(self, service: Service) -> None:
        """``service`` holds nothing else under the keys that the store uses."""
        self.service = service

    @classmethod
    def open(cls, url: str) -> ObstoreBucket:
        """Return the bucket at ``s3://bucket/prefix`` or the like.

        Keys, region and endpoint are taken from the environment, as the vendors' own tools spell
        them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on. Raises InvalidRequestError.
        """
        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            raise InvalidRequestError(
                f"store: expected an address that begins with one of "
                f"{', '.join(f'{s}://' for s in SCHEMES)}, got {url!r:.200}"
            )
        if scheme == "memory":
            return cls(from_url("memory:///"))
        try:
            service = from_url(
                url,
                # Plain http is used where the operator's own endpoint says http, nowhere else.
                client_options={"allow_http": True, "timeout": REQUEST_TIMEOUT},
                retry_config={"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT},
            )
        except (BaseError, ValueError) as error:
            raise InvalidRequestError(f"store {url!r:.200}: {_reason(error)}") from error
        return cls(service)

    def put(self, key: str, content: Buffer) -> None:
        """Write an object; one larger than a part becomes visible when its last part is in.

        An upload that a crash breaks off leaves parts that no one sees and that cost money: a
        lifecycle rule of the bucket should delete them.
        """
        with _service_errors(f"writing {key}"):
            obstore.put(
                self.service,
                key,
                content,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_IN_FLIGHT,
            )

    def head(self, key: str) -> ObjectInfo | None:
        """Ask for an object's size and time."""
        with _service_errors(f"asking for {key}"):
            try:
                return _info(obstore.head(self.service, key))
            except FileNotFoundError:
                return None

    def read(self, key: str) -> Buffer | None:
        """Read an object into memory."""
        with _service_errors(f"reading {key}"):
            try:
                return memoryview(obstore.get(self.service, key).bytes())
            except FileNotFoundError:
                return None

    def read_range(self, key: str, start: int, stop: int) -> Buffer | None:
        """Read a part of an object."""
        with _service_errors(f"reading {key}"):
            try:
                return memoryview(obstore.get_range(self.service, key, start=start, end=stop))
            except FileNotFoundError:
                return None

    def objects(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """List objects, a page at a time."""
        with _service_errors(f"listing {prefix}"):
            pages = obstore.list(self.service, prefix, offset=after or None, chunk_size=LIST_PAGE)
            for page in pages:
                # A service that does not know start-after answers from the beginning.
                yield from (info for info in map(_info, page) if info.key > after)

    def folders(self, prefix: str) -> list[str]:
        """List common prefixes."""
        with _service_errors(f"listing {prefix}"):
            found = obstore.list_with_delimiter(self.service, prefix)["common_prefixes"]
            return [name.removeprefix(prefix).rstrip("/") for name in found]

    def copy(self, source: str, target: str) -> bool:
        """Copy an object without reading it here."""
        with _service_errors(f"copying {source} to {target}"):
            try:
                obstore.copy(self.service, source, target)
            except FileNotFoundError:
                return False
            return True

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, many in one request where the service can."""
        with _service_errors(f"deleting {len(keys)} objects"):
            try:
                obstore.delete(self.service, list(keys))
            except FileNotFoundError:
                if len(keys) > 1:
                    for key in keys:
                        self.delete([key])


@contextmanager
def _service_errors(action: str) -> Iterator[None]:
    try:
        yield
    except LatentCRDTError:
        raise  # StoreFailedError is an OSError too, and already says what happened
    except (BaseError, OSError, ValueError) as error:
        reason = _reason(error)
        if _NO_ROOM.search(reason):
            raise StoreFullError(f"{action}: no room: {reason}; nothing was stored") from error
        raise StoreFailedError(f"{action}: {reason}") from error


def _reason(error: Exception) -> str:
    """Return what the service said, on one line, without the library's own structures."""
    said = str(error).partition("\n\nDebug source")[0]
    return " ".join(said.replace('<?xml version="1.0" encoding="UTF-8"?>', "").split())[:500]


def _info(found: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(
        found["path"],
        found["size"],
        int(found["last_modified"].timestamp()),
        found["e_tag"] or "",
    )
