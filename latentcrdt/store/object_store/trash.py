"""How fragments are removed while other servers, which have not heard of it, add them again.

Server A finds a fragment there, makes it a member and acknowledges. Server B, meanwhile, removes it
as no state's member. No order of looking and deleting in one place can exclude that, so B does not
delete: it copies the object to ``trash/``, deletes it, and only then reads the logs.

- If A's membership is in the log by then, B sees it, and puts the object back.
- If not, it comes later: B, which goes on reading the log, sees it then and puts the object back.
  A, asked for its member in between, finds it gone and takes it from the trash itself. So does
  anyone else, if B has ended.
- The trash is emptied of what has lain there for `GRACE_S` by the service's clock, by a process
  that has just read the logs, and not of members: those are put back.

So the bytes of an acknowledged member are always at one of the two places, as long as these two
together take less than `GRACE_S`: A, from finding the fragment there to having its membership
written, and B, from the copy to the deletion. Requests end after seconds; the grace period is an
hour. A copy of its own for each removal keeps two servers that remove the same fragment apart.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterable

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError, InvalidIdError
from latentcrdt.store.object_store.bucket import Bucket
from latentcrdt.store.object_store.log import SharedLog

logger = logging.getLogger(__name__)

OBJECTS = "obj/"

PREFIX = "trash/"

GRACE_S = 3600
"""What is removed is kept for so long."""


class Trash:
    """Removed fragments of a bucket. May be used from any thread."""

    def __init__(
        self, bucket: Bucket, log: SharedLog, boot: str, clock: Callable[[], float]
    ) -> None:
        """``boot`` keeps apart what several processes remove; ``clock`` never goes back."""
        self._bucket = bucket
        self._log = log
        self._clock = clock
        self._names = (f"{boot}-{n}" for n in itertools.count())
        self._lock = threading.Lock()
        self._recent: dict[FragmentId, float] = {}
        """What this process removed in the last `GRACE_S`, and when."""
        self._unchecked: set[FragmentId] = set()
        """What others have added, not looked at yet: the last look failed."""

    def discard(self, fragment_id: FragmentId) -> None:
        """Move a fragment to the trash, if it is there and no state's member."""
        place = f"{PREFIX}{fragment_id}/{next(self._names)}"
        if not self._bucket.copy(object_key(fragment_id), place):
            return
        with self._lock:
            self._recent[fragment_id] = self._clock()
        self._bucket.delete([object_key(fragment_id)])
        if self._log.has_member(fragment_id):
            self.restore(fragment_id)

    def put_back(
        self, added: Iterable[FragmentId], header_of: Callable[[FragmentId], FragmentHeader]
    ) -> None:
        """Put back what this process removed and others, as it turns out, have added meanwhile.

        Or have added something behind: ``header_of`` finds the headers of what was ``added``.
        """
        now = self._clock()
        with self._lock:
            self._recent = {i: at for i, at in self._recent.items() if now - at < GRACE_S}
        if not self._recent:
            return
        self._unchecked.update(added)
        while self._unchecked:
            fragment_id = next(iter(self._unchecked))
            self._put_back_chain(fragment_id, header_of)
            self._unchecked.discard(fragment_id)

    def restore(self, fragment_id: FragmentId) -> bool:
        """Put a fragment back; return whether it lay here."""
        for place in self._places(fragment_id):
            if self._bucket.copy(place, object_key(fragment_id)):
                logger.warning("put back fragment %s, removed while it was added", fragment_id)
                return True
        return False

    def restore_member(self, fragment_id: FragmentId) -> bool:
        """Put a fragment that is gone back if it is a member; return whether it lay here.

        Asks by a listing in any case: unlike a question for one object, which the absence of the
        whole bucket answers with "there is none", that fails when the bucket is gone.
        """
        places = self._places(fragment_id)
        return bool(places) and self._log.has_member(fragment_id) and self.restore(fragment_id)

    def purge(self, now: int) -> None:
        """Delete what has lain here for long enough, and put back members.

        ``now``: Unix seconds by the service's clock, taken before the logs were last read.
        """
        ended = []
        for found in self._bucket.objects(PREFIX):
            if now - found.modified_at < GRACE_S:
                continue
            with contextlib.suppress(InvalidIdError):  # none of ours
                fragment_id = FragmentId.parse(found.key.split("/")[1])
                if self._log.has_member(fragment_id) and not self._is_held(fragment_id):
                    self.restore(fragment_id)
                ended.append(found.key)
        if ended:
            self._bucket.delete(ended)
            logger.info("emptied the trash of %d fragments", len(ended))

    def _places(self, fragment_id: FragmentId) -> list[str]:
        return [found.key for found in self._bucket.objects(f"{PREFIX}{fragment_id}/")]

    def _put_back_chain(
        self, fragment_id: FragmentId, header_of: Callable[[FragmentId], FragmentHeader]
    ) -> None:
        """Put back a fragment and the prefixes behind it, as far as this process removed them."""
        following: FragmentId | None = fragment_id
        with contextlib.suppress(FragmentNotFoundError, CorruptFragmentError):
            while following is not None:
                if following in self._recent and not self._is_held(following):
                    self.restore(following)
                following = header_of(following).prefix

    def _is_held(self, fragment_id: FragmentId) -> bool:
        return self._bucket.head(object_key(fragment_id)) is not None


def object_key(fragment_id: FragmentId) -> str:
    """Return the key under which a fragment is held."""
    return f"{OBJECTS}{fragment_id}"
