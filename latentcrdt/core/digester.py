"""Digest a render's body, run by run, while it passes. Sans I/O; none of the body is held.

Rows of one run lie apart, a stretch in every head, so a section is hashed by as many hashers as it
has runs: 2 KiB each, and nothing else grows with the render.
"""

from __future__ import annotations

from collections.abc import Generator

from latentcrdt.core.encoding import Buffer, Hasher
from latentcrdt.core.ids import Digest
from latentcrdt.core.plan import RenderPlan, RowRun
from latentcrdt.core.receipt import Receipt, RunDigests
from latentcrdt.errors import DigestMismatchError, TruncatedError


class RunDigester:
    """Digests what one fragment contributes to one section, for all of them, as the body passes.

    With a receipt, every section is compared as soon as its last byte was fed.
    """

    def __init__(self, plan: RenderPlan, receipt: Receipt | None = None) -> None:
        """``receipt``: one of this very plan."""
        assert receipt is None or receipt.plan == plan
        self.digests: list[RunDigests] = []
        """Of the layers that have passed, in the order of a receipt."""
        self._plan = plan
        self._receipt = receipt
        self._refusal: DigestMismatchError | None = None
        self._stretches = self._hash_layers()
        self._left, self._hasher = next(self._stretches)

    def feed(self, data: Buffer) -> None:
        """Hash the next bytes of the body.

        Raises DigestMismatchError, naming the first differing run of a section, as soon as the
        section is complete; TruncatedError when the body goes on after its last section.
        """
        view = memoryview(data).cast("B")
        while len(view):
            if not self._left:
                self._check_end()
            piece, view = view[: self._left], view[self._left :]
            self._hasher.update(piece)
            self._left -= len(piece)
            if not self._left:
                self._advance()

    def finish(self) -> list[RunDigests]:
        """Return all digests; raises TruncatedError if bytes are missing, or feed's error again."""
        if self._refusal is not None:
            raise self._refusal
        if self._left:
            raise TruncatedError(f"render {self._plan.render_id}: the body ended inside a section")
        return self.digests

    def _check_end(self) -> None:
        raise self._refusal or TruncatedError(
            f"render {self._plan.render_id}: expected a body of {self._plan.body_bytes} bytes, "
            f"got more"
        )

    def _advance(self) -> None:
        try:
            self._left, self._hasher = next(self._stretches, (0, self._hasher))
        except DigestMismatchError as error:
            # Kept: a caller that goes on all the same must not be told that all is well.
            self._refusal = error
            raise

    def _hash_layers(self) -> Generator[tuple[int, Hasher]]:
        """Yield how many bytes come next, and whose they are, to the end of the body."""
        plan, geometry = self._plan, self._plan.geometry
        for layer in range(plan.layers.first, plan.layers.stop):
            runs = plan.runs(layer)
            keys = yield from self._hash_section(layer, runs, geometry.key_row_bytes(layer), "keys")
            values = yield from self._hash_section(
                layer, runs, geometry.value_row_bytes(layer), "values"
            )
            self.digests += [
                RunDigests(layer, run.placement.fragment_id, k, v)
                for run, k, v in zip(runs, keys, values, strict=True)
            ]

    def _hash_section(
        self, layer: int, runs: list[RowRun], row_bytes: int, part: str
    ) -> Generator[tuple[int, Hasher], None, list[Digest]]:
        hashers = [Hasher() for _ in runs]
        num_heads = self._plan.geometry.layers[layer].num_kv_heads
        if len(runs) == 1:
            # Its rows lie side by side: BLAKE3 is faster on few long pieces.
            num_heads, row_bytes = 1, num_heads * row_bytes
        for _head in range(num_heads):
            for run, hasher in zip(runs, hashers, strict=True):
                yield run.num_rows * row_bytes, hasher
        digests = [Digest(hasher.digest()) for hasher in hashers]
        if self._receipt is not None:
            for index, digest in enumerate(digests, len(self.digests)):
                self._receipt.check_section(index, part, digest)
        return digests
