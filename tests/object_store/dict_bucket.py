"""A bucket in a dictionary: its clock is set by hand, and what happens at each call is up to us."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from latentcrdt.core.encoding import Buffer, digest
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.object_store.bucket import ObjectInfo


@dataclass
class Clock:
    """One time for everyone; it stands still until someone advances it."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Crash(BaseException):
    """The process has ended: nothing of it may catch this."""


@dataclass
class DictBucket:
    """Everyone's objects. A handle that a test makes fail is a `Handle`."""

    clock: Clock = field(default_factory=Clock)
    objects_by_key: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def put(self, key: str, content: Buffer) -> None:
        self.objects_by_key[key] = (bytes(content), int(self.clock()))

    def head(self, key: str) -> ObjectInfo | None:
        if key not in self.objects_by_key:
            return None
        content, modified_at = self.objects_by_key[key]
        return ObjectInfo(key, len(content), modified_at, digest(content).hex())

    def read(self, key: str) -> Buffer | None:
        return self.objects_by_key.get(key, (None, 0))[0]

    def read_range(self, key: str, start: int, stop: int) -> Buffer | None:
        whole = self.read(key)
        return None if whole is None else whole[start:stop]

    def objects(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        assert prefix.endswith("/")
        keys = [k for k in self.objects_by_key if k.startswith(prefix) and k > after]
        found = (self.head(key) for key in reversed(keys))
        return iter([info for info in found if info is not None])

    def folders(self, prefix: str) -> list[str]:
        rests = (k.removeprefix(prefix) for k in self.objects_by_key if k.startswith(prefix))
        return list({rest.split("/")[0] for rest in rests if "/" in rest})

    def copy(self, source: str, target: str) -> bool:
        if source not in self.objects_by_key:
            return False
        self.put(target, self.objects_by_key[source][0])
        return True

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects_by_key.pop(key, None)


class Handle:
    """One process's way to a bucket: ``before`` and ``after`` are told of every call."""

    def __init__(self, bucket: DictBucket) -> None:
        self._bucket = bucket
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None

    def put(self, key: str, content: Buffer) -> None:
        self._call("put", key, content)

    def head(self, key: str) -> ObjectInfo | None:
        return self._call("head", key)

    def read(self, key: str) -> Buffer | None:
        return self._call("read", key)

    def read_range(self, key: str, start: int, stop: int) -> Buffer | None:
        return self._call("read_range", key, start, stop)

    def objects(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._call("objects", prefix, after=after)

    def folders(self, prefix: str) -> list[str]:
        return self._call("folders", prefix)

    def copy(self, source: str, target: str) -> bool:
        return self._call("copy", source, target)

    def delete(self, keys: Sequence[str]) -> None:
        self._call("delete", keys)

    def _call(self, name, *args, **options):
        self.before(name)
        answer = getattr(self._bucket, name)(*args, **options)
        self.after(name)
        return answer


class AtCall:
    """Do something once, at the call of this number (from 0); ``done`` tells whether it came."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self._left = number
        self._act = act
        self.done = False

    def __call__(self, _name: str) -> None:
        self._left -= 1
        if self._left < 0 and not self.done:
            self.done = True
            self._act()


def fail() -> None:
    raise StoreFailedError("the service answered 503")


def crash() -> None:
    raise Crash
