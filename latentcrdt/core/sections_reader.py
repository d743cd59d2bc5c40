"""Verify some of a fragment's sections while they arrive, each against its digest in the header.

Sans I/O, and of any run of sections: what is fetched in parts, side by side, is checked part by
part, and a few layers are checked without the others.
"""

from __future__ import annotations

import itertools
from typing import Self

from latentcrdt.core.encoding import Buffer, Hasher
from latentcrdt.core.fragment import check_section
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.plan import LayerRange
from latentcrdt.errors import TruncatedError


class SectionsReader:
    """Checks consecutive sections of a fragment whose header is known, fed in pieces."""

    def __init__(self, header: FragmentHeader, first: int = 0, stop: int | None = None) -> None:
        """Expect the sections ``first <= i < stop`` of the header's; by default all of them."""
        self.header = header
        self.offset = header.sections[first].offset
        """Where in the body the next byte lies."""
        self._section = first
        self._stop_section = len(header.sections) if stop is None else stop
        self._hasher = Hasher()
        self._fed_to = self.offset
        """Further than ``offset`` where what was fed was refused."""

    @classmethod
    def of_layers(cls, header: FragmentHeader, layers: LayerRange) -> Self:
        """Expect the sections of these layers, K before V."""
        return cls(header, 2 * layers.first, 2 * layers.stop)

    @property
    def stop(self) -> int:
        """Where in the body the last of the sections ends."""
        return self.header.sections[self._stop_section - 1].stop

    def feed(self, data: Buffer) -> None:
        """Take the next bytes; raises the InvalidInputError that they deserve, at once."""
        view = memoryview(data).cast("B")
        self._fed_to += len(view)
        if self._fed_to > self.stop:
            raise self._truncated()
        while len(view):
            section = self.header.sections[self._section]
            piece, view = view[: section.stop - self.offset], view[section.stop - self.offset :]
            self._hasher.update(piece)
            self.offset += len(piece)
            if self.offset == section.stop:
                check_section(self.header, section, self._hasher.digest())
                self._hasher = Hasher()
                self._section += 1

    def finish(self) -> None:
        """Raise TruncatedError if bytes are missing, or again what ``feed`` refused."""
        if self._fed_to != self.stop:
            raise self._truncated()
        if self._section < self._stop_section:
            section = self.header.sections[self._section]
            check_section(self.header, section, self._hasher.digest())

    def copy(self) -> SectionsReader:
        """Return a reader that has been fed the same, and goes on by itself."""
        return self._up_to(self._stop_section)

    def split(self, num_parts: int) -> list[SectionsReader]:
        """Return readers of what is still to come: at most so many, of about the same size.

        The first goes on where this one is, the others begin with a section each. Of nothing that
        is to come there are none.
        """
        if self._section == self._stop_section:
            return []
        sections, rest = self.header.sections, self.stop - self.offset
        cuts = {self._stop_section}
        for part in range(1, num_parts):
            goal = self.offset + rest * part // num_parts
            later = range(self._section + 1, self._stop_section)
            cuts.update(itertools.islice((i for i in later if sections[i].offset >= goal), 1))
        borders = sorted(cuts)
        others = (SectionsReader(self.header, *pair) for pair in itertools.pairwise(borders))
        return [self._up_to(borders[0]), *others]

    def _up_to(self, stop_section: int) -> SectionsReader:
        other = SectionsReader(self.header, stop=stop_section)
        other.offset, other._fed_to, other._section = self.offset, self._fed_to, self._section
        other._hasher = self._hasher.copy()
        return other

    def _truncated(self) -> TruncatedError:
        fragment_id = self.header.fragment_id
        return TruncatedError(
            f"fragment {fragment_id}: expected the body up to byte {self.stop}, "
            f"got it up to byte {self._fed_to}",
            id=str(fragment_id),
            expected=self.stop,
            actual=self._fed_to,
        )
